#include "device/library.h"

#include <dlfcn.h>

#include <cstdlib>

namespace seaway::device {
namespace {

constexpr char kFile[] = "libseaway_cuda.so";

struct Opened {
  const SeawayDeviceTable* table = nullptr;
  std::string why;
};

std::string last_words() {
  const char* const words = dlerror();
  return words == nullptr ? "no reason was given" : words;
}

// Beside the library, or the program, that this is a part of; then wherever the loader looks.
std::string beside_this() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&last_words), &info) == 0 || info.dli_fname == nullptr) {
    return kFile;
  }
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? kFile : path.substr(0, slash + 1) + kFile;
}

Opened open_library() {
  const char* const named = std::getenv("SEAWAY_CUDA_LIBRARY");
  const std::string path = named != nullptr ? named : beside_this();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  std::string why = library == nullptr ? last_words() : "";
  if (library == nullptr && named == nullptr) {
    library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    return {nullptr, "seaway was built or installed without it: " + why};
  }
  const auto entry = reinterpret_cast<SeawayDeviceEntry>(dlsym(library, kSeawayDeviceEntry));
  const SeawayDeviceTable* const table = entry == nullptr ? nullptr : entry(kSeawayDeviceVersion);
  if (table == nullptr || table->version != kSeawayDeviceVersion) {
    return {nullptr, path + " is of another version of seaway: install both of one"};
  }
  int devices = 0;
  if (const int error = table->count(&devices); error != 0 || devices == 0) {
    return {nullptr, "no device can be used here: " + std::string(error != 0 ? table->text(error) : "there is none")};
  }
  return {table, ""};
}

// Never destroyed: threads of the library work on while a process ends.
const Opened& opened() {
  static const Opened* const once = new Opened(open_library());
  return *once;
}

}  // namespace

const SeawayDeviceTable* table(std::string& why) {
  why = opened().why;
  return opened().table;
}

std::string problem(const SeawayDeviceTable& table, const char* what, int error) {
  return error == 0 ? "" : std::string(what) + ": " + table.text(error);
}

std::string device_of(const SeawayDeviceTable& table, const void* memory, int& device) {
  device = kHost;
  return problem(table, "where the memory lies", table.device_of(memory, &device));
}

std::string Mark::passed(bool& is_passed) const {
  int has = 0;
  std::string wrong = problem(*table_, "waiting for the caller's stream", table_->passed(mark_, &has));
  is_passed = has != 0 || !wrong.empty();
  return wrong;
}

void* allocate(std::size_t bytes, int device) {
  void* memory = nullptr;
  const SeawayDeviceTable* const table = opened().table;
  if (table == nullptr) {
    return nullptr;
  }
  const int error = device == kHost ? table->allocate(bytes, &memory) : table->allocate_on(device, bytes, &memory);
  return error == 0 ? memory : nullptr;
}

void deallocate(void* memory, int device) {
  if (const SeawayDeviceTable* const table = opened().table; table != nullptr) {
    device == kHost ? table->deallocate(memory) : table->deallocate_on(device, memory);
  }
}

}  // namespace seaway::device
