// seaway_e2e: tests of the whole, with real processes. It is the test and, with --worker, each of the trainers.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "e2e/worker.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--worker") == 0) {
    return seaway::e2e::run_worker(std::vector<std::string>(argv + 2, argv + argc));
  }
  doctest::Context context(argc, argv);
  return context.run();
}
