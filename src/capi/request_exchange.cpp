// The requests of an exchange, a send and a receive.
#include <algorithm>
#include <string>
#include <vector>

#include "capi/entry.h"
#include "capi/request.h"
#include "capi/request_parts.h"

namespace seaway::capi {
namespace {

constexpr std::size_t kMostShares = std::size_t{1} << 20;  // of one list

// Checks one list of an exchange. Shares of one peer come to stand together, where the first of them is.
Error add_shares(const seaway_share* shares, std::size_t count, std::int32_t dtype, const char* list, bool written,
                 std::vector<collective::Share>& counts, std::vector<runtime::Span>& spans,
                 std::vector<Piece>& pieces) {
  const std::string name = list;
  if (count > kMostShares) {
    return invalid(name + " has " + std::to_string(count) + " shares, more than one op may have (2^20)");
  }
  if (shares == nullptr && count > 0) {
    return invalid(name + " is NULL, and its count is " + std::to_string(count));
  }
  std::vector<seaway_buffer> buffers;
  buffers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string at = name + "[" + std::to_string(i) + "]";
    if (shares[i].peer == kNoPeer) {
      return invalid(at + ".peer is 0: it is the incarnation of a member (seaway_member.peer)");
    }
    if (shares[i].buffer.dtype != dtype) {
      return invalid(at + ".buffer.dtype is " + std::to_string(shares[i].buffer.dtype) + " but dtype is " +
                     std::to_string(dtype) + ": all buffers of one op have one dtype");
    }
    buffers.push_back(shares[i].buffer);
  }
  std::vector<runtime::Span> listed;
  if (Error error = add_buffers(buffers.data(), count, list, written, listed, pieces); error.status != Status::ok) {
    return error;
  }
  std::vector<std::vector<runtime::Span>> by_peer;
  for (std::size_t i = 0; i < count; ++i) {
    auto known = std::ranges::find(counts, shares[i].peer, &collective::Share::peer);
    if (known == counts.end()) {
      counts.push_back({shares[i].peer, 0});
      by_peer.emplace_back();
      known = std::prev(counts.end());
    }
    known->count += shares[i].buffer.count;
    by_peer[static_cast<std::size_t>(known - counts.begin())].push_back(listed[i]);
  }
  for (const std::vector<runtime::Span>& together : by_peer) {
    spans.insert(spans.end(), together.begin(), together.end());
  }
  return {};
}

// What both ends of a transfer say.
Error transfer_request(runtime::OpRequest& request, bool receives, const seaway_buffer* buffers, std::size_t count,
                       std::uint64_t other, const seaway_options* options) {
  const char* const list = receives ? "out" : "in";
  if (Error error = check_list(buffers, count, list); error.status != Status::ok) {
    return error;
  }
  std::vector<Piece> pieces;
  std::vector<runtime::Span>& spans = receives ? request.out : request.in;
  if (Error error = add_buffers(buffers, count, list, receives, spans, pieces); error.status != Status::ok) {
    return error;
  }
  if (Error error = check_pieces(request, pieces); error.status != Status::ok) {
    return error;
  }
  if (other == kNoPeer) {
    return invalid(std::string(receives ? "from" : "to") +
                   " is 0: it is the incarnation of the other end (seaway_member.peer)");
  }
  collective::Descriptor& descriptor = request.descriptor;
  descriptor.kind = collective::OpKind::transfer;
  descriptor.dtype = dtype_of(buffers[0].dtype);
  descriptor.count = elements(buffers, count);
  (receives ? descriptor.root : descriptor.target) = other;  // whoever posts it is the other one
  return apply_options(options, request, {buffers, count});
}

}  // namespace

Error exchange_request(runtime::OpRequest& request, const seaway_share* receives, std::size_t receive_count,
                       const seaway_share* sends, std::size_t send_count, std::int32_t dtype,
                       const seaway_options* options) {
  collective::Descriptor& descriptor = request.descriptor;
  descriptor.kind = collective::OpKind::exchange;
  descriptor.dtype = dtype_of(dtype);
  if (size_of(descriptor.dtype) == 0) {
    return invalid("dtype is " + std::to_string(dtype) + ", which is no seaway_dtype");
  }
  std::vector<Piece> pieces;
  if (Error error = add_shares(sends, send_count, dtype, "sends", false, descriptor.sends, request.in, pieces);
      error.status != Status::ok) {
    return error;
  }
  if (Error error =
          add_shares(receives, receive_count, dtype, "receives", true, descriptor.receives, request.out, pieces);
      error.status != Status::ok) {
    return error;
  }
  if (Error error = check_pieces(request, pieces); error.status != Status::ok) {
    return error;
  }
  return apply_options(options, request, {});
}

Error send_request(runtime::OpRequest& request, const seaway_buffer* in, std::size_t count, std::uint64_t to,
                   const seaway_options* options) {
  return transfer_request(request, false, in, count, to, options);
}

Error recv_request(runtime::OpRequest& request, const seaway_buffer* out, std::size_t count, std::uint64_t from,
                   const seaway_options* options) {
  return transfer_request(request, true, out, count, from, options);
}

}  // namespace seaway::capi
