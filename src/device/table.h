// What libseaway_cuda.so gives: one table of functions. It is opened at run time, so that libseaway needs no driver to be there.
// C, so that the two may be built by different compilers; a table of another version is not used.
//
// Functions give 0, or an error whose words `text` has. None of them ends the process, and none uses a default stream, unless it is
// borrowed. What is put into a queue is done later: its errors may come with any call after it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/calls.h"

extern "C" {

inline constexpr std::uint32_t kSeawayDeviceVersion = 3;

struct SeawayDeviceTable {
  std::uint32_t version;  // kSeawayDeviceVersion

  const char* (*text)(int error);
  int (*count)(int* devices);                         // fails where there is no driver
  int (*device_of)(const void* memory, int* device);  // -1: the host's
  int (*allocate)(std::size_t bytes, void** memory);  // the host's, pinned: copies do not hold up who asks for them
  int (*deallocate)(void* memory);
  int (*allocate_on)(int device, std::size_t bytes, void** memory);  // the device's
  int (*deallocate_on)(int device, void* memory);

  // A queue of copies and kernels on a device, done in their order, beside whatever the process does there itself.
  int (*open)(int device, void** queue);
  // The same in a stream of the caller's (a cudaStream_t; null: the legacy default stream), in its order.
  int (*borrow)(int device, void* stream, void** queue);
  int (*close)(void* queue);  // waits for what was put in; of one that was borrowed: neither waits nor ends the stream
  int (*copy)(void* queue, void* to, const void* from, std::size_t bytes);  // from, to or on the device
  int (*zero)(void* queue, void* to, std::size_t bytes);
  int (*encode)(void* queue, const SeawayEncode* call);
  int (*fold)(void* queue, const SeawayFold* call);
  int (*reduce)(void* queue, const SeawayReduce* call);
  int (*hash)(void* queue, const SeawayLeaf* leaves, std::size_t count);
  int (*lincomb)(void* queue, const SeawayLincomb* call);
  int (*outer_step)(void* queue, const SeawayOuterStep* call);
  int (*squares)(void* queue, const SeawaySquares* call);

  // A mark is a point of a queue, or of a stream of the caller's (a cudaStream_t), at which all before it has been done.
  int (*mark)(void* queue, void** mark);
  int (*mark_stream)(int device, void* stream, void** mark);
  int (*follow)(void* queue, void* mark);  // what is put in from now on waits for it
  int (*wait)(void* mark);                 // blocks
  int (*passed)(void* mark, int* is_passed);
  int (*forget)(void* mark);
};

// The library's only symbol. Null for a version that it does not have.
using SeawayDeviceEntry = const SeawayDeviceTable* (*)(std::uint32_t version);
}

inline constexpr char kSeawayDeviceEntry[] = "seaway_device_table";
