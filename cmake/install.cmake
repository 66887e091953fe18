# What `cmake --install` leaves: the tools, the headers, the libraries, and the package that find_package(fairprune) finds.
# The tools and the shared objects of cuDNN, oneDNN, MPI and NCCL go to bin, where one looks for the other.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(fp_package ${CMAKE_INSTALL_LIBDIR}/cmake/fairprune)
set(fp_headers ${CMAKE_INSTALL_INCLUDEDIR}/fairprune)  # "engine/core/tape.h" lies below

add_library(fairprune INTERFACE)
target_link_libraries(fairprune INTERFACE fp_models fairprune_report)
target_include_directories(fp_flags INTERFACE $<INSTALL_INTERFACE:${fp_headers}>)

set(fp_parts fp_flags fp_plan ${fp_emulated_library} fp_kernels fairprune_core fairprune_parallel fairprune_io fairprune_fairness fairprune_data fairprune_eval fairprune_run fairprune_train fairprune_measure fairprune_prune fairprune_report fairprune_onnx
    fp_models ${fp_cuda_library})
foreach(part ${fp_parts})
  string(REGEX REPLACE "^(fp|fairprune)_" "" name ${part})
  set_target_properties(${part} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS ${fp_parts} fairprune EXPORT fairprune)
install(EXPORT fairprune NAMESPACE fairprune:: DESTINATION ${fp_package} FILE fairpruneTargets.cmake)
foreach(folder kernels engine models)
  install(DIRECTORY ${folder} DESTINATION ${fp_headers} FILES_MATCHING PATTERN *.h
          PATTERN kernels/cpu EXCLUDE PATTERN kernels/cuda EXCLUDE PATTERN kernels/cudnn EXCLUDE PATTERN kernels/onednn EXCLUDE PATTERN kernels/emulated EXCLUDE
          PATTERN kernels/machine EXCLUDE PATTERN kernels/none EXCLUDE PATTERN kernels/reference EXCLUDE PATTERN kernels/tcp EXCLUDE PATTERN kernels/mpi EXCLUDE PATTERN kernels/nccl EXCLUDE)
endforeach()

# The tools, and what each says of itself: its manual page and completion. Configuring makes the empty folder.
set(fp_described ${PROJECT_BINARY_DIR}/described)
file(MAKE_DIRECTORY ${fp_described})
function(fp_describe tool arguments file folder)
  install(CODE "execute_process(COMMAND \"$<TARGET_FILE:${tool}>\" ${arguments} OUTPUT_FILE \"${fp_described}/${file}\" COMMAND_ERROR_IS_FATAL ANY)")
  install(FILES ${fp_described}/${file} DESTINATION ${folder})
endfunction()
foreach(main ${tool_mains})
  get_filename_component(tool ${main} NAME_WE)
  install(TARGETS ${tool})
  fp_describe(${tool} "--help-man" ${tool}.1 ${CMAKE_INSTALL_MANDIR}/man1)
  fp_describe(${tool} "--completion bash" ${tool} ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  fp_describe(${tool} "--completion zsh" _${tool} ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  fp_describe(${tool} "--completion fish" ${tool}.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endforeach()
foreach(module fairprune_cudnn fairprune_onednn fairprune_mpi fairprune_nccl)
  if(TARGET ${module})
    install(TARGETS ${module} DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/fairprune USE_SOURCE_PERMISSIONS)

string(TOUPPER "${CMAKE_BUILD_TYPE}" fp_configuration)
configure_package_config_file(cmake/fairpruneConfig.cmake.in ${PROJECT_BINARY_DIR}/fairpruneConfig.cmake INSTALL_DESTINATION ${fp_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fairpruneConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fairpruneConfig.cmake ${PROJECT_BINARY_DIR}/fairpruneConfigVersion.cmake DESTINATION ${fp_package})

# `cpack -G DEB` in the build folder.
set(CPACK_PACKAGE_NAME fairprune)
set(CPACK_PACKAGE_CONTACT "the authors of fairprune")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains image classifiers, prunes channels that carry a sensitive attribute, measures fairness and speed")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "nlohmann-json3-dev, libfmt-dev, libonnx-dev, libprotobuf-dev, libturbojpeg0-dev")
set(CPACK_STRIP_FILES ON)
include(CPack)
