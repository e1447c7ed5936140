#include "net/loop.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <map>

namespace seaway::net {

struct Loop::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::map<const void*, std::shared_ptr<void>> held;  // goes first: what is held may use the context
};

// For dial.cpp, whose resolver needs it.
asio::io_context& context_of(Loop& loop);
asio::io_context& context_of(Loop& loop) { return loop.impl().context; }

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;
void Loop::run() { impl_->context.run(); }
bool Loop::run_one(std::chrono::steady_clock::time_point limit) {
  if (limit == std::chrono::steady_clock::time_point::max()) {
    impl_->context.run_one();
  } else {
    impl_->context.run_one_until(limit);
  }
  return !impl_->context.stopped();
}
void Loop::stop() { impl_->context.stop(); }
void Loop::post(std::function<void()> what) { asio::post(impl_->context, std::move(what)); }
void Loop::hold(std::shared_ptr<void> what) {
  const void* name = what.get();
  impl_->held[name] = std::move(what);
}
void Loop::let_go(const void* what) { impl_->held.erase(what); }

Time monotonic_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// --- Timer ----------------------------------------------------------------------------------------------------------

struct Timer::Impl {
  Impl(asio::io_context& context, std::function<void()> callback) : timer(context), what(std::move(callback)) {}
  asio::steady_timer timer;
  std::function<void()> what;
  Time due = kNever;
};

Timer::Timer(Loop& loop, std::function<void()> what)
    : impl_(std::make_shared<Impl>(loop.impl().context, std::move(what))) {}

Timer::~Timer() {
  impl_->due = kNever;
  asio::error_code ignored;
  impl_->timer.cancel(ignored);
}

void Timer::at(Time when) {
  if (when == impl_->due) {
    return;
  }
  impl_->due = when;
  if (when == kNever) {
    impl_->timer.cancel();
    return;
  }
  impl_->timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when)));
  impl_->timer.async_wait([impl = impl_, when](const asio::error_code& error) {
    if (!error && impl->due == when) {
      impl->due = kNever;
      impl->what();
    }
  });
}

// --- Readiness ------------------------------------------------------------------------------------------------------

struct Readiness::Impl {
  Impl(asio::io_context& context, int fd) : descriptor(context, fd) {}
  asio::posix::stream_descriptor descriptor;
  std::function<void()> readable;
  std::function<void()> writable;
  bool alive = true;
  bool reading = false;
  bool writing = false;
};

Readiness::Readiness(Loop& loop, int fd) : impl_(std::make_shared<Impl>(loop.impl().context, fd)) {}

Readiness::~Readiness() {
  impl_->alive = false;
  impl_->descriptor.release();
}

void Readiness::on_readable(std::function<void()> what) { impl_->readable = std::move(what); }
void Readiness::on_writable(std::function<void()> what) { impl_->writable = std::move(what); }

void Readiness::watch_read() {
  if (impl_->reading) {
    return;
  }
  impl_->reading = true;
  impl_->descriptor.async_wait(asio::posix::descriptor_base::wait_read, [impl = impl_](const asio::error_code&) {
    impl->reading = false;
    if (impl->alive) {
      impl->readable();
    }
  });
}

void Readiness::watch_write() {
  if (impl_->writing) {
    return;
  }
  impl_->writing = true;
  impl_->descriptor.async_wait(asio::posix::descriptor_base::wait_write, [impl = impl_](const asio::error_code&) {
    impl->writing = false;
    if (impl->alive) {
      impl->writable();
    }
  });
}

}  // namespace seaway::net
