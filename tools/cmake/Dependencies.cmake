# Every library shunt is linked with. The Debian packages that hold them are listed in tools/dependencies.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core libevent_extra libevent_pthreads)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-i18n icu-uc)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto) # the audit trail's checksums, keyed hashes of values in samples
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET libssl libcrypto) # TLS
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2) # HTTP/2
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)     # webhooks; recorded requests, sent to both sides
if(SHUNT_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

# llhttp: a library where the distribution has one, else the C sources its package installs (Debian 12: node-llhttp).
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/include /usr/share/include/llhttp NO_DEFAULT_PATH REQUIRED)
find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
if(LLHTTP_LIBRARY)
  add_library(llhttp INTERFACE)
  target_link_libraries(llhttp INTERFACE ${LLHTTP_LIBRARY})
  target_include_directories(llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE_DIR})
elseif(LLHTTP_SOURCE_DIR)
  add_library(llhttp STATIC ${LLHTTP_SOURCE_DIR}/llhttp.c ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp PRIVATE -w)
else()
  message(FATAL_ERROR "llhttp not found: install node-llhttp (Debian 12) or libllhttp-dev")
endif()
