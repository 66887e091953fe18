# Writes OUT, C++ that lists the names of all tools' options, from the declarations in FOLDER/*.cpp: words that stand where
# an option is declared, "epochs N" or "skip-bad". One list serves every tool, so that a variable of the environment that is for
# another tool is told from a misspelt one (tools/options.cpp).
#   cmake -DFOLDER=tools -DOUT=option_names.cpp -P cmake/option_names.cmake
file(GLOB sources ${FOLDER}/*.cpp)
set(names)
foreach(source ${sources})
  file(READ ${source} text)
  string(REGEX MATCHALL "(add[a-z_]*|choice<[A-Za-z:]+>|choice)\\((o, |options, )?[ \n]*(prefix \\+ )?\"[a-z][a-z0-9-]*[ \"]" found "${text}")
  foreach(declared ${found})
    string(REGEX MATCH "\"([a-z0-9-]+)" word "${declared}")
    set(name ${CMAKE_MATCH_1})
    list(APPEND names ${name})
    if(declared MATCHES "prefix")
      list(APPEND names finetune-${name})
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES names)
list(SORT names)
list(JOIN names "\", \"" joined)
file(WRITE ${OUT} "#include \"tools/option.h\"\n\nnamespace fp {\n\nconst std::vector<std::string>& option_names() {\n    static const std::vector<std::string> all{\"${joined}\"};\n    return all;\n}\n\n}  // namespace fp\n")
