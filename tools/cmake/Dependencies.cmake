# Every library shunt is linked with or opens when a file needs it. Their Debian packages are listed in tools/dependencies.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core libevent_extra libevent_pthreads libevent_openssl)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-i18n icu-uc)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto) # the audit trail's checksums, keyed hashes of values in samples
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET libssl libcrypto) # TLS
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2) # HTTP/2
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis) # Redis: its command formatter and reply reader
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)     # webhooks; recorded requests, sent to both sides

# shunt_opened(PREFIX NAME): opened_PREFIX has what a room needs that opens libNAME at run time (config/library.h) instead
# of being linked with it: the headers, its name there (SHUNT_PREFIX_SONAME), and the Debian package that has it
# (SHUNT_PREFIX_PACKAGE; empty where dpkg does not know). PREFIX is that of pkg_check_modules().
function(shunt_opened prefix name)
  set(file ${${prefix}_LINK_LIBRARIES})
  list(FILTER file INCLUDE REGEX "/lib${name}\\.so$")
  execute_process(COMMAND ${CMAKE_READELF} -d ${file} OUTPUT_VARIABLE facts ERROR_QUIET)
  if(NOT facts MATCHES "\\(SONAME\\)[^\n]*\\[([^]\n]+)\\]")
    message(FATAL_ERROR "lib${name}: no shared library with a name was found: '${file}'")
  endif()
  set(soname "${CMAKE_MATCH_1}")
  execute_process(COMMAND dpkg-query -S "*/${soname}" OUTPUT_VARIABLE owner ERROR_QUIET RESULT_VARIABLE unknown)
  string(REGEX MATCH "^[a-z0-9][a-z0-9.+-]*" package "${owner}")
  set_property(GLOBAL APPEND PROPERTY SHUNT_OPENED "${soname} ${package}")
  add_library(opened_${prefix} INTERFACE)
  target_include_directories(opened_${prefix} SYSTEM INTERFACE ${${prefix}_INCLUDE_DIRS})
  target_compile_options(opened_${prefix} INTERFACE ${${prefix}_CFLAGS_OTHER})
  target_compile_definitions(opened_${prefix} INTERFACE SHUNT_${prefix}_SONAME="${soname}" SHUNT_${prefix}_PACKAGE="${package}")
endfunction()
shunt_opened(ICU icui18n)
shunt_opened(CRYPTO crypto)
shunt_opened(CURL curl)

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
