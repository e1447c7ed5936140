#include "kill/peer.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "lab/inside.h"
#include "runtime/communicator.h"
#include "support/data.h"
#include "support/encoded.h"
#include "support/process.h"

namespace seaway::kill {

namespace {

constexpr double kPatience = 60;  // seconds: longer than anything that is no hang

support::Data data_of(int op) { return op == 1 ? support::Data::digits : support::Data::floats; }

std::vector<float> plus(std::vector<float> x, const std::vector<float>& y) {
  std::transform(x.begin(), x.end(), y.begin(), x.begin(), std::plus<>());
  return x;
}

// The ranks that are added up before anything else is: those of each site, in the order of sites.
std::vector<std::vector<unsigned>> groups_of(const PeerArguments& arguments, collective::PlanKind plan,
                                             const std::vector<unsigned>& ranks,
                                             const std::vector<unsigned>& by_admission) {
  if (plan != collective::PlanKind::hierarchical) {
    return {ranks};
  }
  std::vector<std::vector<unsigned>> groups;
  std::vector<unsigned> sites;
  for (const unsigned rank : by_admission) {
    if (const unsigned site = rank % arguments.sites; std::ranges::find(sites, site) == sites.end()) {
      sites.push_back(site);
    }
  }
  for (const unsigned site : sites) {
    std::vector<unsigned> there;
    std::ranges::copy_if(ranks, std::back_inserter(there),
                         [&](unsigned rank) { return rank % arguments.sites == site; });
    if (!there.empty()) {
      groups.push_back(std::move(there));
    }
  }
  return groups;
}

// False and a line on stdout where the result is not the sum of these groups' sums, each with what travelled encoded.
bool is_right_in_groups(int op, const PeerArguments& arguments, collective::PlanKind plan,
                        const std::vector<std::vector<unsigned>>& groups, const std::vector<float>& result) {
  std::vector<float> sum;
  for (const std::vector<unsigned>& group : groups) {
    std::vector<float> part;
    for (const unsigned rank : group) {
      std::vector<float> x(result.size());
      support::fill(data_of(op), arguments.seed, rank, x);
      x = support::as_encoded(arguments.up, std::move(x));
      part = part.empty() ? std::move(x) : plus(std::move(part), x);
    }
    if (plan == collective::PlanKind::hierarchical && group.size() > 1) {
      part = support::as_encoded(arguments.up, std::move(part));
    }
    sum = sum.empty() ? std::move(part) : plus(std::move(sum), part);
  }
  sum = support::as_encoded(plan == collective::PlanKind::one_shot ? Codec::none : arguments.down, std::move(sum));
  for (std::size_t i = 0; i < sum.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(sum[i]) != std::bit_cast<std::uint32_t>(result[i])) {
      std::printf("wrong %d element %zu is %.9g and should be %.9g, encoded or by sites\n", op, i,
                  static_cast<double>(result[i]), static_cast<double>(sum[i]));
      return false;
    }
  }
  return true;
}

// False and a line on stdout where the result is not the sum over these ranks in their order.
bool is_right(int op, std::uint64_t seed, const std::vector<unsigned>& ranks, const std::vector<float>& result) {
  const std::uint64_t i = support::first_wrong(data_of(op), seed, ranks, result);
  if (i == result.size()) {
    return true;
  }
  const float sum = support::sum_of(data_of(op), seed, ranks, i);
  std::printf("wrong %d element %llu is %.9g and should be %.9g", op, static_cast<unsigned long long>(i),
              static_cast<double>(result[i]), static_cast<double>(sum));
  if (data_of(op) == support::Data::digits) {
    std::printf(" (in base 8, peer 0 last: %llo, %llo)", static_cast<unsigned long long>(result[i]),
                static_cast<unsigned long long>(sum));
  }
  std::printf("\n");
  return false;
}

}  // namespace

int run_peer(const PeerArguments& arguments) {
  // Before there are threads: they would stay where they are.
  if (!arguments.space.empty() && !lab::enter_space(arguments.space)) {
    std::printf("failed 0 it cannot get to its site\n");
    return 1;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  runtime::CommunicatorConfig config;
  config.plaintext = !arguments.way_in.starts_with("seaway1/");
  (config.plaintext ? config.master : config.join) = arguments.way_in;
  config.listen = arguments.listen;
  config.replica = arguments.rank;
  config.name = std::string("r").append(std::to_string(arguments.rank));
  config.min_world = arguments.world;
  config.site = arguments.sites == 0 ? "" : std::string("s").append(std::to_string(arguments.rank % arguments.sites));
  const auto comm = runtime::Communicator::create(config);
  if (comm->join(kPatience) != Status::ok) {
    std::printf("failed 0 join: %s\n", comm->last_error().text.c_str());
    return 1;
  }
  std::map<PeerId, unsigned> rank_of;
  std::vector<unsigned> by_admission;
  for (const wire::MemberInfo& member : comm->view()->members) {
    rank_of[member.id] = member.replica;
    by_admission.push_back(member.replica);
  }

  const std::uint64_t count = arguments.bytes / sizeof(float);
  std::vector<float> in(count);
  std::vector<float> out(arguments.in_place ? 0 : count);
  for (int op = 1; op <= arguments.ops + 1; ++op) {
    const std::uint64_t elements = op <= arguments.ops ? count : std::min<std::uint64_t>(count, 16);
    in.resize(elements);
    out.resize(arguments.in_place ? 0 : elements);
    support::fill(data_of(op), arguments.seed, arguments.rank, in);
    runtime::OpRequest request;
    request.descriptor.count = elements;
    request.descriptor.tag = static_cast<std::uint64_t>(op);
    request.descriptor.up = arguments.up;
    request.descriptor.down = arguments.down;
    request.in = {{reinterpret_cast<std::byte*>(in.data()), elements * sizeof(float)}};
    if (!arguments.in_place) {
      request.out = {{reinterpret_cast<std::byte*>(out.data()), elements * sizeof(float)}};
    }
    std::printf("start %d\n", op);
    runtime::OperationPtr operation;
    Status status = comm->start(request, 0, operation);
    if (status == Status::ok) {
      status = comm->wait(std::span(&operation, 1), false, kPatience);
      status = status == Status::ok ? operation->status() : status;
    }
    if (status != Status::pending && (status != Status::ok || !arguments.in_place)) {
      const std::uint64_t i = support::first_changed(data_of(op), arguments.seed, arguments.rank, in);
      if (i < elements) {
        std::printf("lost %d the input has changed at element %llu\n", op, static_cast<unsigned long long>(i));
        return 1;
      }
    }
    if (status != Status::ok) {
      const Error error = operation ? operation->error() : comm->last_error();
      std::printf("failed %d status %d: %s\n", op, static_cast<int>(status), error.text.c_str());
      return 1;
    }
    const double ended = support::seconds_now();
    const collective::Result result = operation->result();
    std::vector<unsigned> ranks;
    std::string names;
    for (const collective::Contributor& contributor : result.contributors) {
      ranks.push_back(rank_of.at(contributor.id));
      names += std::to_string(ranks.back());
    }
    const std::vector<float>& got = arguments.in_place ? in : out;
    const bool plain = arguments.up == Codec::none && arguments.down == Codec::none &&
                       result.plan != collective::PlanKind::hierarchical;
    if (!(plain ? is_right(op, arguments.seed, ranks, got)
                : is_right_in_groups(op, arguments, result.plan, groups_of(arguments, result.plan, ranks, by_admission),
                                     got))) {
      return 1;
    }
    std::printf("ok %d %016llx %s %.6f %llu %u %zu %.6f\n", op, static_cast<unsigned long long>(result.value.bits),
                names.c_str(), static_cast<double>(result.ended - result.posted) / kSecond,
                static_cast<unsigned long long>(result.bytes_resent), result.attempts, result.lost.size(), ended);
  }
  comm->leave(5);
  std::printf("done\n");
  return 0;
}

}  // namespace seaway::kill
