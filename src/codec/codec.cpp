#include "codec/codec.h"

#include "codec/kernels.h"

namespace seaway {

std::size_t encoded_bytes(Codec codec, std::size_t count) {
  switch (codec) {
    case Codec::none:
      return code_bytes<Plain>(count);
    case Codec::bf16:
      return code_bytes<Half>(count);
    case Codec::q8:
      return scale_bytes<Byte>(count) + code_bytes<Byte>(count);
    case Codec::q4:
      return scale_bytes<Nibble>(count) + code_bytes<Nibble>(count);
  }
  SEAWAY_ASSERT(false, "a codec");
  return 0;
}

void CodecKernels::decode(Codec codec, void* dst, const void* src, const Piece& piece) const {
  const EncodedSource source{src, codec, 1};
  sum({dst, {&source, 1}, piece, 1});
}

const CodecKernels* codec_kernels_by_name(std::string_view name) {
  for (const CodecKernels* kernels : {&scalar_codec_kernels(), avx2_codec_kernels(), avx512_codec_kernels()}) {
    if (kernels != nullptr && name == kernels->name) {
      return kernels;
    }
  }
  return nullptr;
}

}  // namespace seaway
