// seaway_chaos: see options.cpp for what it does, stage.cpp for the faults, run_check.cpp for the promises.
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "chaos/campaign.h"
#include "chaos/impostors.h"
#include "chaos/lab.h"
#include "chaos/options.h"
#include "chaos/strangers.h"
#include "chaos/trainer.h"

namespace seaway::chaos {

namespace {

constexpr double kLongestFault = 15;  // seconds
constexpr double kSlowMachine = 2;

// Every rung once: nothing that a promise bounds takes longer. Twice that on a machine which has too little for all of it, and
// as long as the longest fault that it may have to wait for.
double patience() {
  constexpr Ladder kLadder;
  const Duration rungs =
      kLadder.evict + kLadder.connection + kLadder.stall + kLadder.forming + kLadder.reconnect + kLadder.suspect;
  return kSlowMachine * static_cast<double>(rungs) / static_cast<double>(kSecond) + kLongestFault;
}

std::string program_itself() {
  char name[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", name, sizeof name);
  return {name, static_cast<std::size_t>(length > 0 ? length : 0)};
}

std::string new_folder() {
  char name[] = "/tmp/seaway-chaos-XXXXXX";
  return ::mkdtemp(name) != nullptr ? name : "";
}

// What the machine does not allow is said first, so that nobody takes it for tested.
void print_skipped(const Lab& lab, const Options& options) {
  for (const FaultClass& fault : fault_classes()) {
    if (options.wants(fault.name) && fault.needs && !lab.can(*fault.needs)) {
      std::printf("SKIPPED %s: %s\n", fault.name, lab.why_not(*fault.needs).c_str());
    }
  }
  if (!lab.can(Ability::network)) {
    std::printf("every process is on 127.0.0.1\n");
  }
}

int list() {
  const std::string folder = new_folder();
  {
    const Lab lab(folder);
    for (const FaultClass& fault : fault_classes()) {
      const std::string why_not = fault.needs ? lab.why_not(*fault.needs) : "";
      std::printf("%-14s %s%s\n", fault.name, fault.does,
                  why_not.empty() ? "" : (" (not here: " + why_not + ")").c_str());
    }
  }
  std::filesystem::remove_all(folder);
  return 0;
}

int run_campaign(Options options) {
  const std::string folder = new_folder();
  const std::string self = program_itself();  // in a chroot its name is another one once there are mounts of my own
  bool is_good = true;
  {
    Lab lab(folder);
    print_skipped(lab, options);
    const unsigned world =
        options.peers > 0 ? options.peers : static_cast<unsigned>(Random(options.seed ^ 0x5ea).between(3, 6));
    options.is_plaintext = options.is_plaintext || (options.is_mixed && Random(options.seed ^ 0x715).one_in(4));
    Random drawn(options.seed ^ 0x51e);
    options.sites = options.sites.value_or(drawn.one_in(2) ? 0 : static_cast<unsigned>(drawn.between(2, 3)));
    const std::string at_sites =
        *options.sites > 0 ? std::string(" at ").append(std::to_string(*options.sites)).append(" sites") : "";
    std::printf("seed %llu, %u trainers%s, %s; who does not go on within %.0f s hangs\n",
                static_cast<unsigned long long>(options.seed), world, at_sites.c_str(),
                options.is_plaintext ? "in plaintext" : "encrypted", patience());
    Run run(lab, {.self = self,
                  .folder = folder,
                  .seed = options.seed,
                  .bytes = options.mib << 20,
                  .world = world,
                  .sites = *options.sites,
                  .patience = patience(),
                  .is_plaintext = options.is_plaintext});
    Campaign campaign(lab, run, options);
    std::string problem;
    try {
      campaign.run();
    } catch (const std::exception& error) {
      problem = error.what();
      run.write_logs();
    }
    campaign.print_report();
    is_good = problem.empty();
    options.peers = world;
    if (!is_good) {
      std::printf("\nFAILED: %s\nlogs: %s\nrepeat it: build/release/stress/seaway_chaos %s\n", problem.c_str(),
                  folder.c_str(), options.in_words().c_str());
    } else {
      std::printf(
          "\nall promises kept: 0 wrong, 0 different, 0 lost inputs, 0 hangs, 0 unexplained evictions, aborts, ends\n");
    }
  }
  if (is_good && options.keeps_logs) {
    std::printf("logs: %s\n", folder.c_str());
  } else if (is_good) {
    std::filesystem::remove_all(folder);
  }
  return is_good ? 0 : 1;
}

}  // namespace

}  // namespace seaway::chaos

int main(int argc, char** argv) {
  using namespace seaway::chaos;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words[0] == "--trainer") {
    return run_trainer(TrainerArguments::from(words));
  }
  if (!words.empty() && words[0] == "--strangers") {
    return run_strangers(words);
  }
  if (!words.empty() && words[0] == "--impostors") {
    return run_impostors(words);
  }
  if (words.size() == 1 && words[0] == "--help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (words.size() == 1 && words[0] == "--list") {
    return list();
  }
  Options options;
  if (const std::string problem = read_options(words, options); !problem.empty()) {
    std::fprintf(stderr, "seaway_chaos: %s; --help\n", problem.c_str());
    return 2;
  }
  return run_campaign(options);
}
