# Files as bytes in the program.
#
#   shunt_embed(TARGET HEADER name=file ...)
#
# adds to TARGET one generated C file that defines, for each pair, the bytes of `file` as declared in HEADER:
#   const char NAME[] (with a NUL after the last byte) and const size_t NAME_len (without it).
# Run as a script (cmake -P, with OUTPUT, HEADER and FILES set) this file writes that C file; ninja and make run it again
# whenever one of the files changes.

if(CMAKE_SCRIPT_MODE_FILE)
  set(text "/* Made by tools/cmake/Embed.cmake; edit the embedded files instead. */\n#include \"${HEADER}\"\n")
  foreach(pair ${FILES})
    string(REGEX MATCH "^([^=]+)=(.+)$" ignored "${pair}")
    set(name "${CMAKE_MATCH_1}")
    file(READ "${CMAKE_MATCH_2}" bytes HEX)
    # 16 to a line; each as a character constant's value, so that bytes above 127 need no cast.
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
    string(REGEX REPLACE "(('..[0-9a-f][0-9a-f]',)('..[0-9a-f][0-9a-f]',)('..[0-9a-f][0-9a-f]',)('..[0-9a-f][0-9a-f]',))" "\\1\n" bytes "${bytes}")
    string(APPEND text "\nconst char ${name}[] = {\n${bytes}'\\0'};\nconst size_t ${name}_len = sizeof(${name}) - 1;\n")
  endforeach()
  file(WRITE "${OUTPUT}" "${text}")
  return()
endif()

set(SHUNT_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(shunt_embed target header)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded.c")
  set(pairs)
  set(files)
  foreach(pair ${ARGN})
    string(REGEX MATCH "^([^=]+)=(.+)$" ignored "${pair}")
    set(name "${CMAKE_MATCH_1}")
    get_filename_component(path "${CMAKE_MATCH_2}" ABSOLUTE)
    list(APPEND pairs "${name}=${path}")
    list(APPEND files "${path}")
  endforeach()
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${output}" "-DHEADER=${header}" "-DFILES=${pairs}" -P "${SHUNT_EMBED_SCRIPT}"
    DEPENDS ${files} "${SHUNT_EMBED_SCRIPT}"
    COMMENT "Embedding files into ${target}"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
