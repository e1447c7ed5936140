// Every variant gives the bits of the naive reference, for every dtype and reduction, whatever the size, alignment,
// content and number of sources.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "operands.h"
#include "reference.h"

namespace seaway {
namespace {

double draw_weight(Random& random) {
  // 1e-50 is zero in f32 and not in f64.
  constexpr double kWeights[] = {0.0, 1.0, 1.0, 0.5, 3.0, 1.0 / 3.0, 1e-3, 7.25, -2.0, 1e-50, 12345.678};
  return kWeights[random.below(std::size(kWeights))];
}

// The operands of one call. `target` is the source that dst is, or the number of sources when dst is apart.
struct Case {
  DType dtype;
  Reduction reduction;
  std::size_t count;
  std::vector<Buffer> buffers;
  std::vector<double> weights;
  double weight_sum;
  std::size_t target;

  std::string name() const {
    return std::string(name_of(dtype)) + " " + name_of(reduction) + ", " + std::to_string(count) + " elements, " +
           std::to_string(buffers.size()) + " sources, dst " + std::to_string(target);
  }
};

Case draw_case(DType dtype, Reduction reduction, std::size_t count, Random& random) {
  Case drawn{dtype, reduction, count, {}, {}, 0, 0};
  const std::size_t sources = random.between(1, 9);
  const Content content = kAllContents[random.below(std::size(kAllContents))];
  for (std::size_t s = 0; s < sources; ++s) {
    drawn.buffers.emplace_back(count * size_of(dtype), random.below(64));
    fill(drawn.buffers.back(), dtype, content, random);
    drawn.weights.push_back(draw_weight(random));
    drawn.weight_sum += drawn.weights.back();
  }
  drawn.target = random.below(sources + 1);
  return drawn;
}

// Runs the kernel on copies; returns dst, or the reason why the call was wrong besides it.
std::vector<std::byte> run(const Kernels& kernels, Case operands, std::size_t dst_misalignment) {
  Buffer apart(operands.count * size_of(operands.dtype), dst_misalignment);
  std::vector<Source> sources;
  for (std::size_t s = 0; s < operands.buffers.size(); ++s) {
    sources.push_back({operands.buffers[s].data(), operands.weights[s]});
  }
  const std::vector<Buffer> before = operands.buffers;
  Buffer& dst = operands.target < sources.size() ? operands.buffers[operands.target] : apart;
  kernels.reduce(operands.dtype, operands.reduction)({dst.data(), sources, operands.count, operands.weight_sum});

  CHECK(dst.guards_intact());
  for (std::size_t s = 0; s < sources.size(); ++s) {
    if (s == operands.target) continue;
    CHECK(std::equal(before[s].data(), before[s].data() + before[s].size(), operands.buffers[s].data()));
  }
  return {dst.data(), dst.data() + dst.size()};
}

std::vector<std::byte> expected(const Case& operands) {
  std::vector<Source> sources;
  for (std::size_t s = 0; s < operands.buffers.size(); ++s) {
    sources.push_back({operands.buffers[s].data(), operands.weights[s]});
  }
  return reference::reduce(operands.dtype, operands.reduction, {nullptr, sources, operands.count, operands.weight_sum});
}

void check_all_variants(const Case& operands, Random& random) {
  const std::vector<std::byte> right = expected(operands);
  for (const Kernels* kernels : runnable_kernels()) {
    const std::vector<std::byte> got = run(*kernels, operands, random.below(64));
    const auto wrong = std::mismatch(right.begin(), right.end(), got.begin(), got.end());
    INFO(kernels->name << ": " << operands.name());
    INFO("first wrong byte: " << (wrong.first - right.begin()));
    CHECK((wrong.first == right.end() && wrong.second == got.end()));
  }
}

template <class Function>
void for_every_kernel(Function function) {
  for (DType dtype : kAllDTypes) {
    for (Reduction reduction : kAllReductions) {
      if (reduction == Reduction::avg && !is_floating(dtype)) continue;
      function(dtype, reduction);
    }
  }
}

TEST_CASE("reduce: every variant gives the reference's bits at every small size") {
  Random random(1);
  for_every_kernel([&](DType dtype, Reduction reduction) {
    for (std::size_t count = 0; count <= 70; ++count) {
      for (int round = 0; round < 3; ++round) check_all_variants(draw_case(dtype, reduction, count, random), random);
    }
  });
}

TEST_CASE("reduce: every variant gives the reference's bits at larger odd sizes") {
  Random random(2);
  for_every_kernel([&](DType dtype, Reduction reduction) {
    for (int round = 0; round < 8; ++round) {
      check_all_variants(draw_case(dtype, reduction, random.between(71, 1500) | 1, random), random);
    }
  });
}

TEST_CASE("reduce: every pair of half-precision values has the reference's minimum, maximum and sum") {
  // Every f16 and bf16 against a few partners: the order is total on all 65,536 values, NaNs included.
  constexpr std::uint16_t kPartners[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x3c00, 0x7c00, 0xfc00, 0x7f80,
                                         0xff80, 0x7e01, 0xffc1, 0x7bff, 0xfbff, 0x0400, 0x83ff};
  Random random(3);
  for (DType dtype : {DType::f16, DType::bf16}) {
    for (Reduction reduction : {Reduction::min, Reduction::max, Reduction::sum}) {
      for (std::uint16_t partner : kPartners) {
        Case operands{dtype, reduction, 65536, {Buffer(131072, 0), Buffer(131072, 0)}, {1, 1}, 2, 2};
        for (std::uint32_t i = 0; i < 65536; ++i) {
          const std::uint16_t element = static_cast<std::uint16_t>(i);
          std::memcpy(operands.buffers[0].data() + 2 * i, &element, 2);
          std::memcpy(operands.buffers[1].data() + 2 * i, &partner, 2);
        }
        check_all_variants(operands, random);
      }
    }
  }
}

}  // namespace
}  // namespace seaway
