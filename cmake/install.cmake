# What `cmake --install` leaves: the tools, the headers, the libraries, and the package that find_package(fairprune) finds.
# The tools and cuDNN's shared object go to bin, where one looks for the other.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(fp_package ${CMAKE_INSTALL_LIBDIR}/cmake/fairprune)
set(fp_headers ${CMAKE_INSTALL_INCLUDEDIR}/fairprune)  # "engine/core/tape.h" lies below

add_library(fairprune INTERFACE)
target_link_libraries(fairprune INTERFACE fp_models fairprune_report)
target_include_directories(fp_flags INTERFACE $<INSTALL_INTERFACE:${fp_headers}>)

set(fp_parts fp_flags fp_plan fp_emulated fp_kernels fairprune_core fairprune_io fairprune_fairness fairprune_data fairprune_eval fairprune_run fairprune_train fairprune_measure fairprune_prune fairprune_report fairprune_onnx
    fp_models ${fp_cuda_library})
foreach(part ${fp_parts})
  string(REGEX REPLACE "^(fp|fairprune)_" "" name ${part})
  set_target_properties(${part} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS ${fp_parts} fairprune EXPORT fairprune)
install(EXPORT fairprune NAMESPACE fairprune:: DESTINATION ${fp_package} FILE fairpruneTargets.cmake)
foreach(folder kernels engine models)
  install(DIRECTORY ${folder} DESTINATION ${fp_headers} FILES_MATCHING PATTERN *.h
          PATTERN kernels/cpu EXCLUDE PATTERN kernels/cuda EXCLUDE PATTERN kernels/cudnn EXCLUDE PATTERN kernels/emulated EXCLUDE
          PATTERN kernels/machine EXCLUDE PATTERN kernels/none EXCLUDE PATTERN kernels/reference EXCLUDE)
endforeach()

foreach(main ${tool_mains})
  get_filename_component(tool ${main} NAME_WE)
  install(TARGETS ${tool})
endforeach()
if(TARGET fairprune_cudnn)
  install(TARGETS fairprune_cudnn DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
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
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libdnnl-dev, nlohmann-json3-dev, libfmt-dev, libonnx-dev, libprotobuf-dev, libturbojpeg0-dev")
set(CPACK_STRIP_FILES ON)
include(CPack)
