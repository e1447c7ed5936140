#include "net/tls_farewell.h"

#include <utility>

namespace seaway::net {

namespace {

constexpr Duration kPatience = 5 * kSecond;

class Farewell {
 public:
  Farewell(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context, TlsBuffer rest)
      : loop_(&loop),
        below_(std::move(below)),
        context_(std::move(context)),
        rest_(std::move(rest)),
        timer_(loop, [this] { end(); }) {}
  ~Farewell() { context_->take_back(rest_); }
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;

  void start() {
    below_->on_readable([] {});
    below_->on_writable([this] { write(); });
    timer_.at(monotonic_now() + kPatience);
    write();
  }

 private:
  void write() {
    while (!rest_.empty()) {
      iovec piece{rest_.data(), rest_.size()};
      const IoResult result = below_->send({&piece, 1});
      if (result.io == Io::blocked) {
        below_->watch_write();
        return;
      }
      if (result.io != Io::moved) {
        break;
      }
      rest_.taken(result.bytes);
    }
    end();
  }

  // Later: a function of what goes is running.
  void end() {
    if (!std::exchange(is_over_, true)) {
      loop_->post([loop = loop_, self = this] { loop->let_go(self); });
    }
  }

  Loop* loop_;
  std::unique_ptr<Stream> below_;
  std::shared_ptr<TlsContext> context_;
  TlsBuffer rest_;
  Timer timer_;
  bool is_over_ = false;
};

}  // namespace

void send_and_close(Loop& loop, std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> context, TlsBuffer rest) {
  const auto farewell = std::make_shared<Farewell>(loop, std::move(below), std::move(context), std::move(rest));
  loop.hold(farewell);
  // Later, for the same reason.
  loop.post([weak = std::weak_ptr(farewell)] {
    if (const auto strong = weak.lock()) {
      strong->start();
    }
  });
}

}  // namespace seaway::net
