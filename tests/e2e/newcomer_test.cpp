// What a newcomer does when its master says something unusual: against a master that says what the test tells it to.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <seaway/seaway.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "wire/messages.h"

namespace seaway::e2e {

namespace {

constexpr int kPatience_s = 20;

class ScriptedMaster {
 public:
  ScriptedMaster() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    REQUIRE(::bind(listening_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(listening_, 4) == 0);
    REQUIRE(::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &length) == 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    give_up_after(listening_);
  }
  ~ScriptedMaster() {
    ::close(conn_);
    ::close(listening_);
  }
  ScriptedMaster(const ScriptedMaster&) = delete;
  ScriptedMaster& operator=(const ScriptedMaster&) = delete;

  const std::string& address() const { return address_; }

  // The next connection, in the place of the one before, as far as its opening.
  void accept() {
    ::close(conn_);
    conn_ = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(conn_ >= 0);
    give_up_after(conn_);
    REQUIRE(wire::decode_opening(body()));
  }
  template <class Message>
  Message hear() {
    const auto message = wire::decode_peer_message(body());
    REQUIRE(message);
    REQUIRE(std::holds_alternative<Message>(*message));
    return std::get<Message>(*message);
  }
  void say(const wire::MasterMessage& message) const {
    const std::vector<std::byte> bytes = wire::encode(message);
    REQUIRE(::send(conn_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }

 private:
  static void give_up_after(int fd) {
    const timeval patience{.tv_sec = kPatience_s, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  std::vector<std::byte> body() const {
    std::uint32_t length = 0;
    REQUIRE(::recv(conn_, &length, sizeof length, MSG_WAITALL) == static_cast<ssize_t>(sizeof length));
    REQUIRE(length < 1 << 20);
    std::vector<std::byte> bytes(length);
    REQUIRE(::recv(conn_, bytes.data(), length, MSG_WAITALL) == static_cast<ssize_t>(length));
    return bytes;
  }

  int listening_;
  int conn_ = -1;
  std::string address_;
};

}  // namespace

TEST_CASE(
    "a newcomer that is evicted before it knows that it was admitted joins as another incarnation, in the same call") {
  ScriptedMaster master;
  seaway_config config;
  seaway_config_init(&config, sizeof config);
  config.master = master.address().c_str();
  config.listen = "127.0.0.1:0";
  config.plaintext = 1;
  seaway_comm* comm = nullptr;
  REQUIRE(seaway_create(&comm, &config) == SEAWAY_OK);
  seaway_status joined = SEAWAY_OK;
  std::jthread caller([&] { joined = seaway_join(comm, kPatience_s); });

  master.accept();
  const auto first = master.hear<wire::Hello>();
  master.hear<wire::Join>();
  CHECK_FALSE(first.was_addressed);
  master.say(wire::Introduce{});
  master.say(wire::Evicted{"silent for 3000 ms"});
  master.accept();
  const auto second = master.hear<wire::Hello>();
  master.hear<wire::Join>();
  CHECK(second.uuid == first.uuid);
  CHECK(second.id != first.id);
  master.say(wire::Refused{"the test is over"});

  caller.join();
  CHECK(joined == SEAWAY_JOIN_REFUSED);
  seaway_error error{};
  error.struct_size = sizeof error;
  seaway_error_get(comm, nullptr, &error);
  CHECK(std::string(error.text).find("the test is over") != std::string::npos);
  seaway_destroy(comm);
}

}  // namespace seaway::e2e
