# cmake --install: the program seaway, the headers, libseaway.so, find_package(seaway) with its target seaway::seaway, and seaway.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(
  TARGETS seaway
  EXPORT seaway
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS seaway_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
configure_file(${PROJECT_SOURCE_DIR}/cmake/seaway-master.service.in ${PROJECT_BINARY_DIR}/seaway-master.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/seaway-master.service DESTINATION lib/systemd/system)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/seaway DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(
  EXPORT seaway
  FILE seawayTargets.cmake
  NAMESPACE seaway::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/seaway)

file(WRITE ${PROJECT_BINARY_DIR}/seawayConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/seawayTargets.cmake)\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/seawayConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/seawayConfig.cmake ${PROJECT_BINARY_DIR}/seawayConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/seaway)

# The prefix is that of the file itself, so that an installed tree can be moved.
file(RELATIVE_PATH up_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/seaway.pc.in ${PROJECT_BINARY_DIR}/seaway.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/seaway.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
