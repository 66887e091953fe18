# kernels/cpu, compiled once for each instruction set; kernels/isa.cpp picks one when the program starts. The objects of a
# set are joined into one, in which every symbol but its table is local: the inline functions that it shares with the rest
# of the program were compiled for its processor, and must not be the ones that another runs.
file(GLOB cpu_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cpu/*.cpp ${PROJECT_SOURCE_DIR}/kernels/cpu/conv/*.cpp)
set(fp_isas baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(fp_isas v2 v3 v4)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(fp_isas neon)
endif()
set(fp_host_objects)
foreach(isa ${fp_isas})
  set(sources fp_host_${isa})
  add_library(${sources} OBJECT ${cpu_sources})
  set_target_properties(${sources} PROPERTIES UNITY_BUILD OFF)
  target_link_libraries(${sources} PRIVATE fp_flags OpenMP::OpenMP_CXX)
  target_compile_definitions(${sources} PRIVATE FP_HOST_TABLE=fp_host_table_${isa})
  target_compile_options(${sources} PRIVATE -O3 $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique> -fno-math-errno -fno-trapping-math -Wno-psabi)
  if(isa MATCHES "^v[0-9]$")
    target_compile_options(${sources} PRIVATE -march=x86-64-${isa})
  elseif(isa STREQUAL neon)
    # GCC would move loads up before it gives out registers, of which a tile then needs more than there are.
    target_compile_options(${sources} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns>)
  endif()
  set(joined ${PROJECT_BINARY_DIR}/host_${isa}.o)
  add_custom_command(OUTPUT ${joined}
    COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${joined} $<TARGET_OBJECTS:${sources}>
    COMMAND ${CMAKE_OBJCOPY} --keep-global-symbol=fp_host_table_${isa} ${joined}
    DEPENDS ${sources} $<TARGET_OBJECTS:${sources}> COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${joined} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  list(APPEND fp_host_objects ${joined})
endforeach()

# The baseline: convolutions and linear layers by oneDNN 2 or 3, where it is found, in a shared object that is loaded when
# `--device onednn` is asked for.
set(fp_onednn_sources kernels/none/onednn.cpp)
find_package(dnnl QUIET)
if(TARGET DNNL::dnnl)
  set(fp_onednn_sources kernels/onednn/load/load.cpp)
  file(GLOB onednn_ops CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/onednn/*.cpp)
  add_library(fairprune_onednn MODULE ${onednn_ops})
  set_target_properties(fairprune_onednn PROPERTIES PREFIX "" UNITY_BUILD OFF POSITION_INDEPENDENT_CODE ON
                                                    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  target_link_libraries(fairprune_onednn PRIVATE fp_flags DNNL::dnnl OpenMP::OpenMP_CXX)
endif()
