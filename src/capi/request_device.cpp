// Buffers on a device.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "capi/request.h"
#include "capi/request_parts.h"
#include "capi/statuses.h"
#include "device/library.h"

namespace seaway::capi {
namespace {

Error no_device(const std::string& why) {
  return make_error(Status::no_device, "SEAWAY_CUDA needs libseaway_cuda.so, which cannot be used: " + why +
                                           ". Give memory of the host's");
}

}  // namespace

Error locate(const Piece& piece, int& device) {
  device = device::kHost;
  if (piece.device == SEAWAY_HOST) {
    return {};
  }
  if (Error error = check_device(piece.device); error.status != Status::ok) {
    return error;
  }
  std::string why;
  const SeawayDeviceTable* const table = device::table(why);
  if (std::string problem = device::device_of(*table, piece.data, device); !problem.empty()) {
    return make_error(Status::no_device, piece.name() + ".device is SEAWAY_CUDA, and the driver fails: " + problem);
  }
  if (device == device::kHost) {
    return invalid(piece.name() + ".device is SEAWAY_CUDA, and its data is memory of the host's");
  }
  return {};
}

Error check_device(std::int32_t device) {
  std::string why;
  return device == SEAWAY_HOST || device::table(why) != nullptr ? Error{} : no_device(why);
}

Error find_device(runtime::OpRequest& request, const std::vector<Piece>& pieces) {
  for (const Piece& piece : pieces) {
    if (piece.device != pieces.front().device) {
      return invalid(piece.name() + ".device is another one than that of " + pieces.front().name() +
                     ": all buffers of one op lie on one");
    }
  }
  if (pieces.empty() || pieces.front().device == SEAWAY_HOST) {
    return {};
  }
  for (const Piece& piece : pieces) {
    int device = device::kHost;
    if (Error error = locate(piece, device); error.status != Status::ok) {
      return error;
    }
    if (request.device != device::kHost && device != request.device) {
      return invalid(piece.name() + " is on GPU " + std::to_string(device) + ", another buffer on GPU " +
                     std::to_string(request.device) + ": all buffers of one op lie on one");
    }
    request.device = device;
  }
  return {};
}

Error apply_stream(const seaway_options& options, runtime::OpRequest& request) {
  if (request.device == device::kHost) {
    // An empty shard lies nowhere, whatever stream its member has.
    const auto has_bytes = [](const runtime::Span& span) { return span.bytes > 0; };
    const bool is_hosts = std::ranges::any_of(request.in, has_bytes) || std::ranges::any_of(request.out, has_bytes);
    return options.stream == nullptr || !is_hosts ? Error{}
                                                  : invalid("options.stream is set, and no buffer is on a GPU");
  }
  std::string why;
  if (options.residual != nullptr) {
    int device = device::kHost;
    if (device::device_of(*device::table(why), options.residual, device); device != request.device) {
      return invalid("options.residual does not lie on the GPU that the buffers are on");
    }
    if (reinterpret_cast<std::uintptr_t>(options.residual) % sizeof(float) != 0) {
      return invalid("options.residual is not aligned to its elements, as it has to be on a GPU");
    }
  }
  return mark_stream(request.device, options.stream, request.mark);
}

Error mark_stream(int device, void* stream, std::shared_ptr<device::Mark>& mark) {
  std::string why;
  const SeawayDeviceTable& table = *device::table(why);
  void* made = nullptr;
  if (const int error = table.mark_stream(device, stream, &made); error != 0) {
    return invalid("options.stream: " + std::string(table.text(error)));
  }
  mark = std::make_shared<device::Mark>(table, made);
  return {};
}

Error check_state_buffer(const seaway_buffer* buffer, DType& dtype, int& device) {
  if (buffer == nullptr) {
    return invalid("buffer is NULL");
  }
  const Piece piece{.list = "buffer", .index = 0, .device = buffer->device, .data = buffer->data};
  dtype = dtype_of(buffer->dtype);
  if (Error error = check_buffer(*buffer, piece, true); error.status != Status::ok) {
    return error;
  }
  if (buffer->count == 0) {  // wherever it may lie
    device = device::kHost;
    return {};
  }
  return locate(piece, device);
}

}  // namespace seaway::capi
