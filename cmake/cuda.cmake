# kernels/cuda/ is compiled twice: by nvcc into fp_cuda, where there is one, and always as plain C++ for
# the machine that plays a GPU on the host, into fp_emulated.

# nvcc is often installed and not on PATH.
find_program(FP_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
set(FP_CUDA OFF CACHE STRING "Build the CUDA kernels for GPUs: ON, OFF, or AUTO, where nvcc 13 or later is found")
set(FP_CUDA_ARCHITECTURES "80-real;90a-real;80-virtual" CACHE STRING
    "GPU generations to build for; the virtual one serves later ones")

file(GLOB cuda_ops CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*/*.cu)
set(cuda_only ${PROJECT_SOURCE_DIR}/kernels/cuda/runtime/table.cu ${PROJECT_SOURCE_DIR}/kernels/cuda/runtime/runtime.cu)
list(REMOVE_ITEM cuda_ops ${cuda_only})

set(fp_cuda_built OFF)
set(FP_DEVICE_VERSION cpu)
if(FP_CUDA STREQUAL "AUTO")
  if(FP_NVCC)
    execute_process(COMMAND ${FP_NVCC} --version OUTPUT_VARIABLE nvcc_says ERROR_QUIET)
    if(nvcc_says MATCHES "release ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL 13)
      set(fp_cuda_built ON)
    endif()
  endif()
elseif(FP_CUDA)
  if(NOT FP_NVCC)
    message(FATAL_ERROR "FP_CUDA is ${FP_CUDA}, and there is no nvcc on PATH, in CUDA_HOME or in /usr/local/cuda")
  endif()
  set(fp_cuda_built ON)
endif()
message(STATUS "CUDA kernels for GPUs: ${fp_cuda_built} (FP_CUDA=${FP_CUDA}, nvcc ${FP_NVCC})")

# What nvcc is told of a target of kernels.
function(fp_gpu_kernels target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/kernels/machine/gpu)
  target_compile_definitions(${target} PRIVATE FP_MACHINE=cuda)
  # A register spill is a warning, which FP_WERROR makes fail the build.
  # The machine code is kept as it is: tests/kernels/test_cubins.cpp reads it.
  target_compile_options(${target} PRIVATE --expt-relaxed-constexpr -lineinfo --no-compress
                         -Xptxas=--warn-on-spills)
  if(FP_WERROR)
    target_compile_options(${target} PRIVATE -Xptxas=-Werror -Werror=all-warnings)
  endif()
endfunction()

# What the launchers decide from shapes alone: plain C++, compiled once for both machines.
file(GLOB plan_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/plan/*.cpp)
add_library(fp_plan STATIC ${plan_sources})
target_link_libraries(fp_plan PRIVATE fp_flags)

set(fp_cuda_library)
if(fp_cuda_built)
  if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${FP_NVCC})
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${FP_CUDA_ARCHITECTURES})
  # ptxas tells of a lost overlap of matrix instructions in a remark and goes on: the launcher does not.
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  if(FP_WERROR)
    list(PREPEND CMAKE_CUDA_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/cmake/strict_nvcc)
  endif()
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  set(FP_DEVICE_VERSION "CUDA ${CMAKE_CUDA_COMPILER_VERSION}")
  if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows the flag up to 17
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  endif()
  # Matrix instructions of Hopper alone stand in files of their own, kernels/cuda/*/*_sm90a.cu, which other
  # generations cannot compile.
  set(hopper_ops ${cuda_ops})
  list(FILTER hopper_ops INCLUDE REGEX "_sm90a\\.cu$")
  set(common_ops ${cuda_ops})
  list(FILTER common_ops EXCLUDE REGEX "_sm90a\\.cu$")
  add_library(fp_cuda STATIC ${common_ops} ${cuda_only})
  target_link_libraries(fp_cuda PUBLIC fp_plan)
  list(JOIN CMAKE_CUDA_ARCHITECTURES "+" gpu_code)  # nvcc takes a comma for the next definition
  set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/cuda/runtime/table.cu PROPERTIES
                              COMPILE_DEFINITIONS FP_GPU_CODE="${gpu_code}")
  set(cuda_targets fp_cuda)
  if(hopper_ops)
    add_library(fp_cuda_hopper OBJECT ${hopper_ops})
    set_target_properties(fp_cuda_hopper PROPERTIES CUDA_ARCHITECTURES 90a-real)
    target_sources(fp_cuda PRIVATE $<TARGET_OBJECTS:fp_cuda_hopper>)
    list(APPEND cuda_targets fp_cuda_hopper)
  endif()
  foreach(target ${cuda_targets})
    fp_gpu_kernels(${target})
  endforeach()
  set(fp_cuda_library fp_cuda)
endif()

# The vendor's kernels are a shared object of their own, loaded when `--device cudnn` is asked for.
set(fp_cudnn_sources kernels/none/cudnn.cpp)
if(fp_cuda_built)
  get_filename_component(fp_toolkit ${CMAKE_CUDA_COMPILER} DIRECTORY)
  get_filename_component(fp_toolkit ${fp_toolkit} DIRECTORY)
  find_path(CUDNN_INCLUDE cudnn.h HINTS ${fp_toolkit}/include $ENV{CUDNN_PATH}/include)
  find_library(CUDNN_LIBRARY cudnn HINTS ${fp_toolkit}/lib64 ${fp_toolkit}/lib $ENV{CUDNN_PATH}/lib)
  find_library(CUBLAS_LIBRARY cublas HINTS ${fp_toolkit}/lib64 ${fp_toolkit}/lib)
  if(CUDNN_INCLUDE AND CUDNN_LIBRARY AND CUBLAS_LIBRARY)
    set(fp_cudnn_sources kernels/cudnn/load/load.cpp)
    file(STRINGS ${CUDNN_INCLUDE}/cudnn_version.h cudnn_numbers REGEX "define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
    string(REGEX MATCHALL "[0-9]+" cudnn_numbers "${cudnn_numbers}")
    list(JOIN cudnn_numbers "." cudnn_numbers)
    string(APPEND FP_DEVICE_VERSION ", cuDNN ${cudnn_numbers}")
    file(GLOB cudnn_ops CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cudnn/*.cpp)
    add_library(fairprune_cudnn MODULE ${cudnn_ops} ${PROJECT_SOURCE_DIR}/kernels/cudnn/elementwise.cu)
    set_target_properties(fairprune_cudnn PROPERTIES PREFIX "" POSITION_INDEPENDENT_CODE ON
                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    target_include_directories(fairprune_cudnn PRIVATE ${PROJECT_SOURCE_DIR} ${CUDNN_INCLUDE} ${fp_toolkit}/include)
    target_compile_options(fairprune_cudnn PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>
                           $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
    target_link_libraries(fairprune_cudnn PRIVATE ${CUDNN_LIBRARY} ${CUBLAS_LIBRARY})
  endif()
endif()

# One stub a kernel file, since a source cannot be of two languages at once.
set(emulated_ops)
foreach(op ${cuda_ops})
  get_filename_component(name ${op} NAME_WE)
  file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR} ${op})
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/emulated/${name}.cpp CONTENT "#include \"${path}\"\n")
  list(APPEND emulated_ops ${PROJECT_BINARY_DIR}/emulated/${name}.cpp)
endforeach()
file(GLOB machine_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/machine/emulated/*.cpp
     ${PROJECT_SOURCE_DIR}/kernels/emulated/*.cpp)
list(FILTER machine_sources EXCLUDE REGEX "/context_[^/]*$")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  list(APPEND machine_sources ${PROJECT_SOURCE_DIR}/kernels/machine/emulated/context_x86_64.cpp)
else()
  list(APPEND machine_sources ${PROJECT_SOURCE_DIR}/kernels/machine/emulated/context_portable.cpp)
endif()
set(fp_left_out)  # what stands in for the backends that this build leaves out
if(NOT fp_cuda_built)
  list(APPEND fp_left_out kernels/none/cuda.cpp)
endif()
set(fp_emulated_library fp_emulated)
if(NOT FP_EMULATED)
  set(fp_emulated_library)
  list(APPEND fp_left_out kernels/none/emulated.cpp)
  return()
endif()
add_library(fp_emulated STATIC ${machine_sources} ${emulated_ops})
target_link_libraries(fp_emulated PUBLIC fp_flags fp_plan Threads::Threads)
target_include_directories(fp_emulated PRIVATE ${PROJECT_SOURCE_DIR}/kernels/machine/emulated)
target_compile_definitions(fp_emulated PRIVATE FP_MACHINE=emulated)
target_compile_options(fp_emulated PRIVATE $<$<CONFIG:Release>:-O3>)  # a third faster than with -O2
