#include "net/lobby.h"

#include <doctest/doctest.h>

#include <set>

namespace seaway::net {
namespace {

// Nothing comes on it, and it says where it is from and when it goes.
class Idle : public Stream {
 public:
  Idle(std::string name, const char* address, std::set<std::string>& open) : name_(std::move(name)), open_(&open) {
    open_->insert(name_);
    remote_ = *numeric_address({address, 1});
  }
  ~Idle() override { open_->erase(name_); }
  IoResult receive(std::span<iovec>) override { return {}; }
  IoResult send(std::span<iovec>) override { return {}; }
  void on_readable(std::function<void()>) override {}
  void on_writable(std::function<void()>) override {}
  void watch_read() override {}
  void watch_write() override {}
  const SocketAddress& remote() const override { return remote_; }
  const SocketAddress& local() const override { return remote_; }
  void set_user_timeout(Duration) override {}
  void set_pace(std::uint64_t) override {}
  PathFigures path() const override { return {}; }

 private:
  std::string name_;
  std::set<std::string>* open_;
  SocketAddress remote_;
};

TEST_CASE("a flood from one place drives out itself, and nobody else") {
  Loop loop;
  std::set<std::string> open;
  Lobby lobby(loop, {.most = 8}, [](std::unique_ptr<Stream>, std::span<const std::byte>) {});
  lobby.enter(std::make_unique<Idle>("honest", "192.0.2.7", open));
  for (int i = 0; i < 100; ++i) {
    lobby.enter(std::make_unique<Idle>("flood " + std::to_string(i), "198.51.100.1", open));
  }
  CHECK(open.contains("honest"));
  CHECK(open.contains("flood 99"));
  CHECK_FALSE(open.contains("flood 92"));
  CHECK(lobby.waiting() == 8);
  CHECK(lobby.refusals().begin()->second == 93);
  // One customer's IPv6 addresses are one place, however many he uses.
  for (int i = 0; i < 100; ++i) {
    lobby.enter(std::make_unique<Idle>("six " + std::to_string(i), ("2001:db8::" + std::to_string(i)).c_str(), open));
  }
  CHECK(open.contains("honest"));
  CHECK(open.contains("flood 99"));
  CHECK(open.contains("six 99"));
}

TEST_CASE("from many places at once the oldest makes room") {
  Loop loop;
  std::set<std::string> open;
  Lobby lobby(loop, {.most = 4}, [](std::unique_ptr<Stream>, std::span<const std::byte>) {});
  for (int i = 1; i <= 5; ++i) {
    lobby.enter(std::make_unique<Idle>(std::to_string(i), ("192.0.2." + std::to_string(9 - i)).c_str(), open));
  }
  CHECK(open == std::set<std::string>{"2", "3", "4", "5"});
}

}  // namespace
}  // namespace seaway::net
