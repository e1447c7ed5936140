#include "net/splice.h"

#include <utility>

namespace seaway::net {

namespace {
constexpr std::size_t kBuffer = 64ull * 1024;
constexpr std::size_t kTurn = 1024ull * 1024;  // then others get theirs
}  // namespace

Splice::Splice(Loop& loop, std::unique_ptr<Stream> one, std::unique_ptr<Stream> other, std::function<void()> over)
    : loop_(&loop),
      one_(std::move(one)),
      other_(std::move(other)),
      over_(std::move(over)),
      alive_(std::make_shared<bool>(true)),
      there_{.from = one_.get(), .to = other_.get(), .buffer = std::vector<std::byte>(kBuffer)},
      back_{.from = other_.get(), .to = one_.get(), .buffer = std::vector<std::byte>(kBuffer)} {
  watch(there_);
  watch(back_);
}

Splice::~Splice() { *alive_ = false; }

void Splice::watch(Way& way) {
  way.from->on_readable([this, &way] { move(way); });
  way.to->on_writable([this, &way] { move(way); });
  way.from->watch_read();
}

void Splice::move(Way& way) {
  for (std::size_t moved = 0; over_ != nullptr;) {
    if (way.begin < way.end) {
      if (!drain(way)) {
        return;
      }
    } else if (way.ended) {
      end();
    } else if (moved >= kTurn) {
      way.from->watch_read();
      return;
    } else if (!fill(way)) {
      return;
    }
    moved += way.end - way.begin;
  }
}

// False: not now, or never again.
bool Splice::fill(Way& way) {
  iovec room{way.buffer.data(), way.buffer.size()};
  const IoResult result = way.from->receive({&room, 1});
  if (result.io == Io::blocked) {
    way.from->watch_read();
    return false;
  }
  if (result.io == Io::failed) {
    end();
    return false;
  }
  way.ended = result.io == Io::closed;
  way.begin = 0;
  way.end = result.bytes;
  return true;
}

bool Splice::drain(Way& way) {
  iovec piece{way.buffer.data() + way.begin, way.end - way.begin};
  const IoResult result = way.to->send({&piece, 1});
  if (result.io == Io::blocked) {
    way.to->watch_write();
    return false;
  }
  if (result.io != Io::moved) {
    end();
    return false;
  }
  way.begin += result.bytes;
  return true;
}

void Splice::end() {
  loop_->post([alive = alive_, over = std::exchange(over_, nullptr)] {
    if (*alive && over) {
      over();
    }
  });
}

}  // namespace seaway::net
