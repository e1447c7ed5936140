// Two streams, each of which gets the bytes that come from the other, until one of them ends.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "net/loop.h"
#include "net/stream.h"

namespace seaway::net {

// Bytes of one end wait, at most 64 KiB, until the other takes them: meanwhile no more are read. After a FIN what was said before
// still leaves.
class Splice {
 public:
  // `over` is called once, later, unless this is destroyed first.
  Splice(Loop& loop, std::unique_ptr<Stream> one, std::unique_ptr<Stream> other, std::function<void()> over);
  ~Splice();
  Splice(const Splice&) = delete;
  Splice& operator=(const Splice&) = delete;

 private:
  struct Way {
    Stream* from = nullptr;
    Stream* to = nullptr;
    std::vector<std::byte> buffer;
    std::size_t begin = 0;  // of what waits
    std::size_t end = 0;
    bool ended = false;
  };

  void watch(Way& way);
  void move(Way& way);
  bool fill(Way& way);
  bool drain(Way& way);
  void end();

  Loop* loop_;
  std::unique_ptr<Stream> one_;
  std::unique_ptr<Stream> other_;
  std::function<void()> over_;
  std::shared_ptr<bool> alive_;
  Way there_;
  Way back_;
};

}  // namespace seaway::net
