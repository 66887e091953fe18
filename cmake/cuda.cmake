# kernels/cuda/ is compiled twice: by nvcc into fp_cuda, where there is one, and always as plain C++ for
# the machine that plays a GPU on the host, into fp_emulated.

# nvcc is often installed and not on PATH.
find_program(FP_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
option(FP_CUDA "Build the CUDA kernels for GPUs" OFF)
set(FP_CUDA_ARCHITECTURES "80-real;90a-real;90-virtual" CACHE STRING
    "GPU generations to build for; the virtual one serves later ones")

file(GLOB cuda_ops CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
list(REMOVE_ITEM cuda_ops ${PROJECT_SOURCE_DIR}/kernels/cuda/table.cu)

set(fp_cuda_library)
if(FP_CUDA)
  if(FP_NVCC AND NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${FP_NVCC})
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${FP_CUDA_ARCHITECTURES})
  if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  add_library(fp_cuda STATIC ${cuda_ops} ${PROJECT_SOURCE_DIR}/kernels/cuda/table.cu)
  target_include_directories(fp_cuda PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/kernels/machine/gpu)
  target_compile_definitions(fp_cuda PRIVATE FP_MACHINE=cuda)
  # A register spill fails the build.
  target_compile_options(fp_cuda PRIVATE --expt-relaxed-constexpr -lineinfo
                         "SHELL:-Xptxas --warn-on-spills" "SHELL:-Werror all-warnings")
  set(fp_cuda_library fp_cuda)
endif()

# One stub a kernel file, since a source cannot be of two languages at once.
set(emulated_ops)
foreach(op ${cuda_ops})
  get_filename_component(name ${op} NAME_WE)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/emulated/${name}.cpp CONTENT "#include \"kernels/cuda/${name}.cu\"\n")
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
add_library(fp_emulated STATIC ${machine_sources} ${emulated_ops})
target_link_libraries(fp_emulated PUBLIC fp_flags Threads::Threads)
target_include_directories(fp_emulated PRIVATE ${PROJECT_SOURCE_DIR}/kernels/machine/emulated)
target_compile_definitions(fp_emulated PRIVATE FP_MACHINE=emulated)
