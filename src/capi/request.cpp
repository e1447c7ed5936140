#include "capi/request.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/time.h"
#include "capi/entry.h"
#include "capi/objects.h"
#include "capi/request_parts.h"
#include "capi/statuses.h"
#include "capi/structs.h"
#include "hash/hash.h"

namespace seaway::capi {
namespace {

using collective::kMostBytes;

}  // namespace

DType dtype_of(std::int32_t number) {
  for (const DType dtype : kAllDTypes) {
    if (static_cast<std::int32_t>(dtype) == number) {
      return dtype;
    }
  }
  return DType{};
}

// --- Buffers --------------------------------------------------------------------------------------------------------

Error check_buffer(const seaway_buffer& buffer, const Piece& piece, bool may_be_on_device) {
  const std::size_t size = size_of(dtype_of(buffer.dtype));
  if (size == 0) {
    return invalid(piece.name() + ".dtype is " + std::to_string(buffer.dtype) + ", which is no seaway_dtype");
  }
  if (buffer.device != SEAWAY_HOST && buffer.device != SEAWAY_CUDA) {
    return invalid(piece.name() + ".device is " + std::to_string(buffer.device) + ", which is no seaway_device");
  }
  if (buffer.device != SEAWAY_HOST && !may_be_on_device) {
    return invalid(piece.name() + ".device is SEAWAY_CUDA: here it has to be memory of the host's");
  }
  if (buffer.count > kMostBytes / size) {
    return invalid(piece.name() + ".count is " + std::to_string(buffer.count) +
                   ", more than one op may carry (2^50 bytes)");
  }
  const std::uint64_t bytes = buffer.count * size;
  if (bytes == 0) {
    return {};
  }
  if (buffer.data == nullptr) {
    return invalid(piece.name() + ".data is NULL but its count is " + std::to_string(buffer.count));
  }
  if (buffer.device != SEAWAY_HOST && reinterpret_cast<std::uintptr_t>(buffer.data) % size != 0) {
    return invalid(piece.name() + ".data is not aligned to its elements, as it has to be on a GPU");
  }
  if (reinterpret_cast<std::uintptr_t>(buffer.data) > UINTPTR_MAX - bytes) {
    return invalid(piece.name() + " reaches beyond the end of the address space");
  }
  return {};
}

Error add_buffers(const seaway_buffer* buffers, std::size_t count, const char* list, bool written,
                  std::vector<runtime::Span>& spans, std::vector<Piece>& pieces) {
  spans.reserve(count);
  pieces.reserve(pieces.size() + count);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Piece piece{.list = list, .index = i, .written = written};
    if (Error error = check_buffer(buffers[i], piece, true); error.status != Status::ok) {
      return error;
    }
    if (buffers[i].dtype != buffers[0].dtype) {
      return invalid(piece.name() + ".dtype is " + name_of(dtype_of(buffers[i].dtype)) + " but " + list +
                     "[0].dtype is " + name_of(dtype_of(buffers[0].dtype)) + ": all buffers of one op have one dtype");
    }
    const std::uint64_t bytes = buffers[i].count * size_of(dtype_of(buffers[i].dtype));
    total += bytes;
    if (total > kMostBytes) {
      return invalid(std::string(list) + " have together more than one op may carry (2^50 bytes)");
    }
    spans.push_back({static_cast<std::byte*>(buffers[i].data), bytes});
    if (bytes > 0) {
      piece.begin = reinterpret_cast<std::uintptr_t>(buffers[i].data);
      piece.end = piece.begin + bytes;
      piece.device = buffers[i].device;
      piece.data = buffers[i].data;
      pieces.push_back(piece);
    }
  }
  return {};
}

namespace {

// Nothing that is written may overlap anything else. One sweep by address that remembers how far back it may look.
Error check_overlaps(std::vector<Piece>& pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  const Piece* farthest = nullptr;
  const Piece* farthest_written = nullptr;
  for (const Piece& piece : pieces) {
    const Piece* const before = piece.written ? farthest : farthest_written;
    if (before != nullptr && before->end > piece.begin) {
      return invalid(before->name() + " and " + piece.name() +
                     " overlap: what is written may overlap nothing else (pass out = NULL to reduce in place)");
    }
    if (farthest == nullptr || piece.end > farthest->end) {
      farthest = &piece;
    }
    if (piece.written && (farthest_written == nullptr || piece.end > farthest_written->end)) {
      farthest_written = &piece;
    }
  }
  return {};
}

}  // namespace

Error check_pieces(runtime::OpRequest& request, std::vector<Piece>& pieces) {
  Error error = find_device(request, pieces);
  return error.status == Status::ok ? check_overlaps(pieces) : error;
}

Error check_list(const seaway_buffer* buffers, std::size_t count, const char* list) {
  if (count == 0) {
    return invalid(std::string("count is 0: an op has at least one buffer (of 0 elements, if need be)"));
  }
  if (count > kMostBuffers) {
    return invalid("count is " + std::to_string(count) + ", more buffers than one op may have (2^20)");
  }
  return buffers == nullptr ? invalid(std::string(list) + " is NULL") : Error{};
}

std::uint64_t elements(const seaway_buffer* buffers, std::size_t count) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += buffers[i].count;
  }
  return sum;
}

namespace {

// out has what in has.
Error check_alike(const seaway_buffer* out, const seaway_buffer* in, std::size_t count) {
  const auto differ = [](std::size_t i, const char* field, const std::string& out_has, const std::string& in_has) {
    std::string name = "[";
    name.append(std::to_string(i)).append("].").append(field);
    std::string text = "out";
    text.append(name).append(" is ").append(out_has).append(" but in").append(name).append(" is ").append(in_has);
    return invalid(text.append(": they must be equal"));
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i].count != in[i].count) {
      return differ(i, "count", std::to_string(out[i].count), std::to_string(in[i].count));
    }
    if (out[i].dtype != in[i].dtype) {
      return differ(i, "dtype", name_of(dtype_of(out[i].dtype)), name_of(dtype_of(in[i].dtype)));
    }
  }
  return {};
}

// One side of an op of blocks.
struct Side {
  const char* list = "";
  const seaway_buffer* buffers = nullptr;
};

// Each buffer of `whole` is as long as `blocks` of its neighbour's; 0: this peer is no member, which the start will say.
Error check_blocks(const Side& whole, const Side& block, std::size_t count, std::size_t blocks) {
  if (whole.buffers[0].dtype != block.buffers[0].dtype) {
    return invalid(std::string(whole.list) + "[0].dtype is " + name_of(dtype_of(whole.buffers[0].dtype)) + " but " +
                   block.list + "[0].dtype is " + name_of(dtype_of(block.buffers[0].dtype)) + ": they must be equal");
  }
  for (std::size_t i = 0; blocks > 0 && i < count; ++i) {
    const std::uint64_t has = whole.buffers[i].count;
    // Divided: a product may be too large.
    if (has % blocks != 0 || has / blocks != block.buffers[i].count) {
      const std::string name = "[" + std::to_string(i) + "].count is ";
      std::string text = whole.list;
      text.append(name).append(std::to_string(has)).append(", and ").append(block.list).append(name);
      text.append(std::to_string(block.buffers[i].count)).append(": it must be ").append(std::to_string(blocks));
      return invalid(text.append(" times that, a block for each member of the generation (seaway_view_blocks)"));
    }
  }
  return {};
}

// The lists of an op of blocks, into the request.
Error add_blocks(runtime::OpRequest& request, const seaway_buffer* out, const seaway_buffer* in, std::size_t count,
                 std::size_t blocks, bool in_is_whole) {
  if (Error error = check_list(in, count, "in"); error.status != Status::ok) {
    return error;
  }
  if (out == nullptr) {
    return invalid("out is NULL: what goes in and what comes out differ in size, so it is never in place");
  }
  std::vector<Piece> pieces;
  if (Error error = add_buffers(in, count, "in", false, request.in, pieces); error.status != Status::ok) {
    return error;
  }
  if (Error error = add_buffers(out, count, "out", true, request.out, pieces); error.status != Status::ok) {
    return error;
  }
  const Side sides[] = {{"in", in}, {"out", out}};
  const Side& block = sides[in_is_whole ? 1 : 0];
  if (Error error = check_blocks(sides[in_is_whole ? 0 : 1], block, count, blocks); error.status != Status::ok) {
    return error;
  }
  request.descriptor.dtype = dtype_of(in[0].dtype);
  request.descriptor.count = elements(block.buffers, count);
  request.descriptor.blocks = blocks;
  return check_pieces(request, pieces);
}

Error set_reduction(collective::Descriptor& descriptor, std::int32_t reduction) {
  if (reduction < SEAWAY_SUM || reduction > SEAWAY_PROD) {
    return invalid("reduction is " + std::to_string(reduction) + ", which is no seaway_reduction");
  }
  descriptor.reduction = static_cast<Reduction>(reduction);
  if (descriptor.reduction == Reduction::avg && !is_floating(descriptor.dtype)) {
    return invalid(std::string("reduction is SEAWAY_AVG but the buffers are ") + name_of(descriptor.dtype) +
                   ": an average of integers would be rounded; use SEAWAY_SUM and divide");
  }
  return {};
}

}  // namespace

Error all_reduce_request(runtime::OpRequest& request, const seaway_buffer* out, const seaway_buffer* in,
                         std::size_t count, std::int32_t reduction, const seaway_options* options) {
  const bool in_place = out == nullptr;
  if (Error error = check_list(in, count, "in"); error.status != Status::ok) {
    return error;
  }
  std::vector<Piece> pieces;
  if (Error error = add_buffers(in, count, "in", in_place, request.in, pieces); error.status != Status::ok) {
    return error;
  }
  if (!in_place) {
    Error error = add_buffers(out, count, "out", true, request.out, pieces);
    if (error.status == Status::ok) {
      error = check_alike(out, in, count);
    }
    if (error.status != Status::ok) {
      return error;
    }
  }
  if (Error error = check_pieces(request, pieces); error.status != Status::ok) {
    return error;
  }
  collective::Descriptor& descriptor = request.descriptor;
  descriptor.kind = collective::OpKind::all_reduce;
  descriptor.dtype = dtype_of(in[0].dtype);
  descriptor.count = elements(in, count);
  descriptor.in_place = in_place;
  if (Error error = set_reduction(descriptor, reduction); error.status != Status::ok) {
    return error;
  }
  return apply_options(options, request, {in, count});
}

Error reduce_scatter_request(runtime::OpRequest& request, std::size_t blocks, const seaway_buffer* out,
                             const seaway_buffer* in, std::size_t count, std::int32_t reduction,
                             const seaway_options* options) {
  request.descriptor.kind = collective::OpKind::reduce_scatter;
  if (Error error = add_blocks(request, out, in, count, blocks, true); error.status != Status::ok) {
    return error;
  }
  if (Error error = set_reduction(request.descriptor, reduction); error.status != Status::ok) {
    return error;
  }
  return apply_options(options, request, {out, count});
}

Error all_gather_request(runtime::OpRequest& request, std::size_t blocks, const seaway_buffer* out,
                         const seaway_buffer* in, std::size_t count, const seaway_options* options) {
  request.descriptor.kind = collective::OpKind::all_gather;
  if (Error error = add_blocks(request, out, in, count, blocks, false); error.status != Status::ok) {
    return error;
  }
  return apply_options(options, request, {in, count});
}

Error broadcast_request(runtime::OpRequest& request, const seaway_buffer* buffers, std::size_t count,
                        std::uint64_t root, const seaway_options* options) {
  if (Error error = check_list(buffers, count, "buffers"); error.status != Status::ok) {
    return error;
  }
  std::vector<Piece> pieces;
  if (Error error = add_buffers(buffers, count, "buffers", true, request.in, pieces); error.status != Status::ok) {
    return error;
  }
  if (Error error = check_pieces(request, pieces); error.status != Status::ok) {
    return error;
  }
  if (root == kNoPeer) {
    return invalid("root is 0: it is the incarnation of the member whose data is sent (seaway_member.peer)");
  }
  collective::Descriptor& descriptor = request.descriptor;
  descriptor.kind = collective::OpKind::broadcast;
  descriptor.dtype = dtype_of(buffers[0].dtype);
  descriptor.count = elements(buffers, count);
  descriptor.in_place = true;
  descriptor.root = root;
  return apply_options(options, request, {buffers, count});
}

Error barrier_request(runtime::OpRequest& request, const seaway_options* options) {
  request.descriptor.kind = collective::OpKind::barrier;
  return apply_options(options, request, {});
}

Error transaction_request(runtime::OpRequest& request, const seaway_options* options) {
  request.descriptor.kind = collective::OpKind::transaction;
  return apply_options(options, request, {});
}

}  // namespace seaway::capi
