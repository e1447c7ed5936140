# What every target is compiled with.
#
# -ffp-contract=off is part of the contract: a fused multiply-add rounds once where two operations round twice, and then
# two members that were compiled differently would disagree about the bits of one sum.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

find_program(SEAWAY_CCACHE ccache)
if(SEAWAY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SEAWAY_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${SEAWAY_CCACHE})
endif()

add_library(seaway_options INTERFACE)
add_library(seaway::options ALIAS seaway_options)
target_include_directories(seaway_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(
  seaway_options
  INTERFACE -ffp-contract=off
            -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wconversion
            -Wno-sign-conversion # sizes of containers are unsigned, offsets of iterators are not
            $<$<BOOL:${SEAWAY_WERROR}>:-Werror>)

# GCC 12 at -O3 follows std::vector and std::variant into branches that cannot be taken and warns of what would happen there.
# The sanitizer builds look for the real ones.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(seaway_options INTERFACE -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
                                            -Wno-maybe-uninitialized)
endif()

if(SEAWAY_SANITIZE_ADDRESS AND SEAWAY_SANITIZE_THREAD)
  message(FATAL_ERROR "AddressSanitizer and ThreadSanitizer exclude one another: use one build folder for each")
endif()
set(sanitizers)
if(SEAWAY_SANITIZE_ADDRESS)
  # A finding ends the program: a test that only prints one would pass.
  list(APPEND sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()
if(SEAWAY_SANITIZE_THREAD)
  list(APPEND sanitizers -fsanitize=thread)
endif()
if(SEAWAY_FUZZ)
  # Everything is instrumented; only the fuzzers themselves get libFuzzer's main (tests/CMakeLists.txt).
  list(APPEND sanitizers -fsanitize=fuzzer-no-link)
endif()
target_compile_options(seaway_options INTERFACE ${sanitizers})
target_link_options(seaway_options INTERFACE ${sanitizers})
