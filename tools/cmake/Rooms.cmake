# How rooms, tests and fuzzers are declared. A room is one folder and one static library; its sources are the .c files in
# it, so adding a file needs no edit here.

add_library(shunt_flags INTERFACE)
target_compile_options(shunt_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion $<$<CONFIG:Debug>:-fno-omit-frame-pointer>)
if(SHUNT_WERROR)
  target_compile_options(shunt_flags INTERFACE -Werror)
endif()

# What is shipped is hardened: position independent, stack protector, fortified libc calls, read-only relocations.
include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(shunt_flags INTERFACE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,-z,relro -Wl,-z,now)
  # The same bytes wherever the tree is: no path of this machine in what is shipped. Linking compiles, too (preset release).
  set(same_paths "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=." "-ffile-prefix-map=${PROJECT_BINARY_DIR}=build")
  add_compile_options(${same_paths})
  add_link_options(${same_paths})
  # gcc's default for x86 clears and copies structs of some hundred bytes by "rep stos" and "rep movs", whose start alone
  # takes 20 ns and more; with this by plain stores.
  include(CheckCCompilerFlag)
  set(plain_stores -mmemset-strategy=libcall:-1:noalign -mmemcpy-strategy=libcall:-1:noalign)
  check_c_compiler_flag("${plain_stores}" SHUNT_HAS_PLAIN_STORES)
  if(SHUNT_HAS_PLAIN_STORES)
    target_compile_options(shunt_flags INTERFACE ${plain_stores})
  endif()
endif()
target_compile_definitions(shunt_flags INTERFACE _GNU_SOURCE SHUNT_VERSION="${PROJECT_VERSION}")
target_include_directories(shunt_flags INTERFACE "${PROJECT_SOURCE_DIR}")
if(SHUNT_SANITIZE)
  add_compile_options(-fsanitize=${SHUNT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SHUNT_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # What sanitizers insert hides initialisations from gcc (its manual says so); release has the warning on.
    target_compile_options(shunt_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(SHUNT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# shunt_room(NAME LIBRARIES lib...): the static library shunt_NAME from every .c in this folder.
function(shunt_room name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  foreach(excluded ${ARG_EXCLUDE})
    list(REMOVE_ITEM sources "${CMAKE_CURRENT_SOURCE_DIR}/${excluded}")
  endforeach()
  if(NOT sources)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/empty.c" "typedef int shunt_room_is_empty;\n")
    set(sources "${CMAKE_CURRENT_BINARY_DIR}/empty.c")
  endif()
  add_library(shunt_${name} STATIC ${sources})
  target_link_libraries(shunt_${name} PRIVATE shunt_flags PUBLIC ${ARG_LIBRARIES})
endfunction()

# tools/test counts ctest's -j in thirds of a core, since most cases are scripts that wait for two thirds of their time. A case
# takes one, unless it shall have a core for itself. COST, in seconds, has the longest begin first.
set(a_core 3)

# shunt_tests(ROOM LIBRARIES lib... THREADED noun... LONG noun...): every tests/ROOM/test_X.c becomes the cmocka program and
# ctest case ROOM/X. THREADED are those that have threads: they carry the label `tsan`, and a build with ThreadSanitizer has
# no others. LONG ones begin early and may take minutes on a machine that is busy.
function(shunt_tests room)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;THREADED;LONG" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test_*.c")
  foreach(source ${sources})
    get_filename_component(stem "${source}" NAME_WE)
    string(REPLACE "test_" "" noun "${stem}")
    string(REPLACE "/" "_" prefix "${room}")
    set(labels unit)
    if(noun IN_LIST ARG_THREADED)
      list(APPEND labels tsan)
    elseif(SHUNT_SANITIZE MATCHES "thread")
      continue()
    endif()
    add_executable(test_${prefix}_${noun} "${source}")
    target_link_libraries(test_${prefix}_${noun} PRIVATE shunt_flags ${ARG_LIBRARIES} PkgConfig::CMOCKA)
    add_test(NAME ${room}/${noun} COMMAND test_${prefix}_${noun} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${room}/${noun} PROPERTIES TIMEOUT 120 LABELS "${labels}")
    if(noun IN_LIST ARG_LONG)
      set_tests_properties(${room}/${noun} PROPERTIES TIMEOUT 900 COST 30)
    endif()
  endforeach()
endfunction()

# shunt_script(NAME SCRIPT ARGS arg... LABELS label... TIMEOUT seconds COST seconds OWN_CORE SERIAL): a script, Python or shell,
# as the ctest case NAME. It finds the built programs through the environment variable SHUNT_BUILD. OWN_CORE: it shall have
# one. SERIAL keeps it alone on the machine.
function(shunt_script name script)
  cmake_parse_arguments(ARG "OWN_CORE;SERIAL" "TIMEOUT;COST" "ARGS;LABELS" ${ARGN})
  set(processors 1)
  if(ARG_OWN_CORE)
    set(processors ${a_core})
  endif()
  if(NOT ARG_COST)
    set(ARG_COST 0)
  endif()
  get_filename_component(path "${script}" ABSOLUTE)
  if(script MATCHES "\\.py$")
    add_test(NAME ${name} COMMAND /usr/bin/python3 "${path}" ${ARG_ARGS} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  else()
    add_test(NAME ${name} COMMAND "${path}" ${ARG_ARGS} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  endif()
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "SHUNT_BUILD=${PROJECT_BINARY_DIR}" TIMEOUT ${ARG_TIMEOUT}
    LABELS "${ARG_LABELS}" RUN_SERIAL ${ARG_SERIAL} SKIP_RETURN_CODE 77 PROCESSORS ${processors} COST ${ARG_COST})
endfunction()

# shunt_fuzzer(NAME LIBRARIES lib...): tests/fuzz/fuzz_NAME.c with its corpus in tests/fuzz/corpus/NAME; the suite runs
# it for a bounded number of executions.
function(shunt_fuzzer name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES" ${ARGN})
  add_executable(fuzz_${name} "fuzz_${name}.c")
  target_link_libraries(fuzz_${name} PRIVATE shunt_flags ${ARG_LIBRARIES})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  file(MAKE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/found/${name}")
  add_test(NAME fuzz/${name} COMMAND fuzz_${name} -runs=20000 -max_total_time=40 -print_final_stats=1
    "${CMAKE_CURRENT_BINARY_DIR}/found/${name}" "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name}")
  set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 180 LABELS fuzz PROCESSORS ${a_core})
endfunction()
