# seaway_layer(NAME <folder> [REAL] DEPENDS <lower layers and libraries>...)
#
# One folder of src/ is one library, seaway::<folder>. Its files are found by a glob: the layer test
# (tests/tidy/layers.py) keeps the folders honest, and a new file needs no line here. A folder of headers alone gives an
# interface library; a folder that is not there gives none.
#
# When the tests are built, each layer is built twice: once as it ships, and once as seaway::<folder>_sim with the planted
# bugs (SEAWAY_MUTANTS) and the coverage marks (SEAWAY_MARKS) compiled in, for the simulator. REAL layers, those above the
# purity line, are built once.
function(seaway_layer)
  cmake_parse_arguments(LAYER "REAL" "NAME" "DEPENDS" ${ARGN})
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/${LAYER_NAME})
  if(NOT IS_DIRECTORY ${folder})
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  # No -mfma: a fused multiply-add rounds once where the other variants round twice.
  file(GLOB avx2_sources CONFIGURE_DEPENDS ${folder}/*_avx2.cpp)
  if(avx2_sources AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mf16c;-mno-fma")
  endif()
  # AVX-512 cannot be had without FMA; -ffp-contract=off keeps the compiler from using it. GCC 12 warns of what its own header
  # leaves uninitialized on purpose, because an instruction overwrites it.
  file(GLOB avx512_sources CONFIGURE_DEPENDS ${folder}/*_avx512.cpp)
  if(avx512_sources AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl)
    set(quiet -Wno-unknown-warning-option -Wno-uninitialized -Wno-maybe-uninitialized)
    set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS "${avx512};${quiet}")
  endif()
  foreach(variant "" "_sim")
    if(variant AND (LAYER_REAL OR NOT SEAWAY_TESTS))
      continue()
    endif()
    set(target seaway_${LAYER_NAME}${variant})
    if(sources)
      add_library(${target} STATIC ${sources})
      set(public PUBLIC)
      set(private PRIVATE)
    else()
      add_library(${target} INTERFACE)
      set(public INTERFACE)
      set(private INTERFACE)
    endif()
    add_library(seaway::${LAYER_NAME}${variant} ALIAS ${target})
    target_link_libraries(${target} ${public} seaway::options)
    foreach(dependency ${LAYER_DEPENDS})
      if(dependency MATCHES "^seaway::")
        target_link_libraries(${target} ${public} ${dependency}${variant})
      else()
        target_link_libraries(${target} ${private} ${dependency})
      endif()
    endforeach()
    if(variant)
      target_compile_definitions(${target} ${public} SEAWAY_MUTANTS SEAWAY_MARKS)
      # clang-tidy reads every entry of a file: once is enough.
      set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
    endif()
  endforeach()
endfunction()
