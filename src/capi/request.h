// From the arguments of a collective to what the runtime takes, or to the error that names the argument.
#pragma once

#include <seaway/seaway.h>

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/status.h"
#include "runtime/communicator.h"

namespace seaway::capi {

Error all_reduce_request(runtime::OpRequest& request, const seaway_buffer* out, const seaway_buffer* in,
                         std::size_t count, std::int32_t reduction, const seaway_options* options);

// `blocks`: of this peer's generation, 0 if it is no member.
Error reduce_scatter_request(runtime::OpRequest& request, std::size_t blocks, const seaway_buffer* out,
                             const seaway_buffer* in, std::size_t count, std::int32_t reduction,
                             const seaway_options* options);

Error all_gather_request(runtime::OpRequest& request, std::size_t blocks, const seaway_buffer* out,
                         const seaway_buffer* in, std::size_t count, const seaway_options* options);

Error broadcast_request(runtime::OpRequest& request, const seaway_buffer* buffers, std::size_t count,
                        std::uint64_t root, const seaway_options* options);

Error exchange_request(runtime::OpRequest& request, const seaway_share* receives, std::size_t receive_count,
                       const seaway_share* sends, std::size_t send_count, std::int32_t dtype,
                       const seaway_options* options);

Error send_request(runtime::OpRequest& request, const seaway_buffer* in, std::size_t count, std::uint64_t to,
                   const seaway_options* options);
Error recv_request(runtime::OpRequest& request, const seaway_buffer* out, std::size_t count, std::uint64_t from,
                   const seaway_options* options);

Error barrier_request(runtime::OpRequest& request, const seaway_options* options);

Error transaction_request(runtime::OpRequest& request, const seaway_options* options);

seaway_options default_options();

// Whether buffers there can be used.
Error check_device(std::int32_t device);

// One buffer of a shared state.
Error check_state_buffer(const seaway_buffer* buffer, DType& dtype, int& device);
// The point at which a stream of the device is now; null: its default stream.
Error mark_stream(int device, void* stream, std::shared_ptr<device::Mark>& mark);

}  // namespace seaway::capi
