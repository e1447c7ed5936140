// A master on a thread of its own: binds core::Master to sockets and a store, or to memory. The daemon (src/master) and
// seaway/master.h stand on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/credentials.h"
#include "net/pki.h"
#include "store/store.h"

namespace seaway::runtime {

struct MasterServerConfig {
  std::string listen;                               // HOST:PORT; port 0 draws one
  bool plaintext = false;                           // neither certificates nor encryption; `authority` is not used
  std::shared_ptr<const net::Authority> authority;  // null: one that lives as long as the server
  std::shared_ptr<const net::Pki> pki;       // its certificates let peers in; a new run has no token for joining then
  std::vector<std::string> advertise;        // HOST:PORT, as join strings name this master; empty: see address()
  std::int64_t certificate_s = 24ll * 3600;  // how long a peer's certificate is good
  std::uint32_t ladder_percent = 100;        // Ladder::scaled
  std::function<void(const std::string&)> log;  // called on the server's thread; may be empty
};

class MasterServer {
 public:
  // Listens and starts. Without a store the membership lives in memory; a master that is started again, with the same authority
  // or in plaintext, gets it back from the peers. Null when it cannot; `error` says why.
  static std::unique_ptr<MasterServer> start(MasterServerConfig config, std::unique_ptr<store::Store> store,
                                             Error& error);
  virtual ~MasterServer() = default;  // stops it

  virtual std::string address() const = 0;  // HOST:PORT listened on
  // What lets a peer join, and what lets somebody do what operators do (runtime/join_string.h): of the oldest such token when the
  // server started. "" in plaintext, and when there is none.
  virtual std::string join_string() const = 0;
  virtual std::string admin_string() const = 0;
  // Whether its record is durable. What it has given out before (the strings above) may not outlive it.
  virtual bool is_durable() const = 0;
  // For SIGTERM: takes no new connections, lets what is decided get out (a second at most), closes. Peers go on, and look for
  // a master on the same address.
  virtual void drain() = 0;
  // Whether it has ended by itself, with `why` in words. Its connections are closed then.
  enum class End : std::uint8_t {
    none = 0,
    stepped_down = 1,  // another master has the run, or the state was older than the run: core::SteppedDown
    bug = 2,
  };
  virtual End ended(std::string& why) const = 0;
};

}  // namespace seaway::runtime
