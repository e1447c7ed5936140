// What the requests of all ops are made of.
#pragma once

#include <seaway/seaway.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "runtime/communicator.h"

namespace seaway::capi {

inline constexpr std::size_t kMostBuffers = std::size_t{1} << 20;  // of one call

// One buffer of the call, by the name that the caller knows it by.
struct Piece {
  const char* list = "";
  std::size_t index = 0;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool written = false;
  std::int32_t device = SEAWAY_HOST;
  const void* data = nullptr;

  std::string name() const { return std::string(list) + "[" + std::to_string(index) + "]"; }
};

// The dtype of this number; DType{}, whose size is 0, if it is none.
DType dtype_of(std::int32_t number);

Error check_list(const seaway_buffer* buffers, std::size_t count, const char* list);
// May it be on a device? Not unless said so.
Error check_buffer(const seaway_buffer& buffer, const Piece& piece, bool may_be_on_device = false);
// Checks the list and adds it to the request's spans and to `pieces`.
Error add_buffers(const seaway_buffer* buffers, std::size_t count, const char* list, bool written,
                  std::vector<runtime::Span>& spans, std::vector<Piece>& pieces);
// Where a piece lies, as its buffer says and its address confirms.
Error locate(const Piece& piece, int& device);
// Where all of the request's buffers lie, those that the residual and the stream are of.
Error find_device(runtime::OpRequest& request, const std::vector<Piece>& pieces);
// What is true of all pieces of a call together: they lie on one device, which the request gets, and none that is written overlaps.
Error check_pieces(runtime::OpRequest& request, std::vector<Piece>& pieces);

std::uint64_t elements(const seaway_buffer* buffers, std::size_t count);

// The stream of a device's buffers; where the residual lies.
Error apply_stream(const seaway_options& options, runtime::OpRequest& request);

// `buffers`: those whose counts, one by one, all members have alike.
Error apply_options(const seaway_options* given, runtime::OpRequest& request, std::span<const seaway_buffer> buffers);

}  // namespace seaway::capi
