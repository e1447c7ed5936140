/* seaway/seaway.h - fault-tolerant collective communication over the internet.
 *
 * A *run* is one training job. Its *peers* are processes; a *master* (`seaway master`, or seaway/master.h) keeps the list of
 * who is a member and is never in the data path. Members reduce, broadcast and synchronise together. When one of them dies in
 * the middle of an op, the others finish it: same bits on every survivor, over exactly the contributors that the result names.
 *
 *     seaway_config config;
 *     seaway_config_init(&config, sizeof config);
 *     config.join = "seaway1/master.example.org:7117/...";   // as `seaway master` prints it; or in SEAWAY_JOIN
 *     seaway_comm *comm = NULL;
 *     if (seaway_create(&comm, &config) != SEAWAY_OK || seaway_join(comm, -1) != SEAWAY_OK) { explain(comm); }
 *     for (;;) {
 *       seaway_update(comm, NULL, -1);                       // the one point where others join
 *       seaway_buffer x = {gradient, n, SEAWAY_F32, SEAWAY_HOST};
 *       seaway_all_reduce(comm, NULL, NULL, &x, 1, SEAWAY_AVG, NULL);   // in place
 *     }
 *
 * RULES FOR EVERY CALL
 *
 * - Every function that can fail returns a seaway_status: SEAWAY_OK (0), SEAWAY_PENDING (1) where it says so, or an error
 *   (>= 100). seaway_error_get explains the last error of a communicator or an op in words, and says what to do next.
 * - Argument order: the context, then outputs, then inputs; a length right after its pointer.
 * - Structs begin with struct_size; fill them with their _init function. A newer library takes an older, shorter struct; an
 *   older library takes a newer, longer one if the bytes it does not know are 0, and refuses it (SEAWAY_INVALID) otherwise.
 *   Structs that are only written (seaway_error, seaway_view_info, seaway_member, seaway_event) have no _init function: set
 *   their struct_size to their sizeof.
 * - Strings are UTF-8, end with 0, and are copied. Times are seconds. A time-out of 0 polls; a negative one waits as long as
 *   it takes; NaN is refused.
 * - Any call may be made from any thread. For one (communicator, tag) the caller orders its own starts: every member must
 *   start the ops of one tag in one order. Different tags are independent. seaway_join, seaway_update and seaway_leave
 *   while another of them runs return SEAWAY_BUSY.
 * - A handle that was destroyed or freed is refused (SEAWAY_CLOSED), it does not crash, and none is given out twice. Handles are
 *   no addresses: do not read behind them. After fork() the child's handles return SEAWAY_FORKED: a child does not take part,
 *   and its copies of the sockets are closed at once. It may read views, and make communicators of its own.
 * - The library prints nothing, ends nothing, handles no signal and calls nobody back. A call that waits does the library's
 *   work meanwhile, on the thread that called it: a small op then needs no other thread. A bug in it turns one communicator to
 *   SEAWAY_INTERNAL: its waits return, its connections close, the process lives.
 * - Buffers belong to the library from the start of an op until it is final (until seaway_wait or seaway_test say something
 *   other than SEAWAY_PENDING). The input may be read meanwhile, nothing else. After seaway_destroy returns no buffer is touched.
 *
 * Linux, 64-bit little-endian. The ABI is that of the SONAME; enumerators keep their values for ever.
 * Long because: it is the whole contract, and most of it is words.
 */
#ifndef SEAWAY_SEAWAY_H
#define SEAWAY_SEAWAY_H

#include <stddef.h>
#include <stdint.h>

#include "seaway/version.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SEAWAY_API __attribute__((visibility("default")))

/* ------------------------------------------------------------------------------------------------------------------ */
/* Statuses and errors                                                                                                 */
/* ------------------------------------------------------------------------------------------------------------------ */

/* The hundreds are the class. docs/ERRORS.md has, for each: the state afterwards, whether to retry, what to do next. */
typedef enum seaway_status {
  SEAWAY_OK = 0,
  SEAWAY_PENDING = 1, /* not an error: the time-out passed and the op, or the wait, goes on */

  /* Your call: nothing was sent, nothing changed. */
  SEAWAY_INVALID = 100,    /* an argument is wrong; the text names it */
  SEAWAY_BUSY = 101,       /* another join, update or leave of this communicator runs */
  SEAWAY_CLOSED = 102,     /* the handle was destroyed or freed, is NULL, or its seaway_create failed */
  SEAWAY_NOT_MEMBER = 103, /* not joined yet, or no longer a member */
  SEAWAY_FORKED = 104,     /* this process is a fork of the one that created the handle */
  SEAWAY_TOO_MANY = 105,   /* too many ops are open */
  SEAWAY_NO_DEVICE = 106,  /* a buffer is on a device, and none can be used here; the text says why */

  /* Your group. */
  SEAWAY_REFUSED = 200, /* members called with different arguments, or the broadcast's root or the other end is gone */
  SEAWAY_ABORTED = 201, /* decided for every member: cancelled, a deadline, on_loss = fail. The input is intact */
  SEAWAY_EVICTED = 202, /* this incarnation was removed from the run; the input is intact; join again */
  SEAWAY_UNDECIDED = 203,    /* this incarnation left before the op was decided; the input is intact */
  SEAWAY_JOIN_REFUSED = 204, /* the master will not admit this peer as it is; the text says why */

  /* Your link. */
  SEAWAY_NO_MASTER = 300,  /* the master cannot be reached */
  SEAWAY_NO_ADDRESS = 301, /* a name does not resolve, or an address cannot be listened on */

  /* Our bug, or no memory. */
  SEAWAY_INTERNAL = 400,
  SEAWAY_NO_MEMORY = 401
} seaway_status;

typedef enum seaway_error_class {
  SEAWAY_CLASS_NONE = 0,
  SEAWAY_CLASS_CALL = 1,
  SEAWAY_CLASS_GROUP = 2,
  SEAWAY_CLASS_LINK = 3,
  SEAWAY_CLASS_BUG = 4
} seaway_error_class;

typedef struct seaway_comm seaway_comm;   /* a communicator: one membership of one run */
typedef struct seaway_op seaway_op;       /* one op that was started */
typedef struct seaway_view seaway_view;   /* an immutable snapshot of the membership */
typedef struct seaway_state seaway_state; /* the shared state: tensors that are the same on every member */

/* A version of the roster: ordered by term, then number. */
typedef struct seaway_epoch {
  uint64_t term;
  uint32_t number;
} seaway_epoch;

typedef struct seaway_error {
  size_t struct_size;
  int32_t status;      /* a seaway_status */
  int32_t error_class; /* a seaway_error_class */
  int32_t retryable;   /* 1: the same call may succeed later */
  uint64_t tag;        /* of the op concerned; 0 if none */
  uint32_t seq;        /* its number within the tag */
  seaway_epoch epoch;  /* at the time of the error */
  uint64_t peer;       /* the peer concerned; 0 if none */
  char phase[32];      /* how far the op was: "waiting for peers", "contributing", "reducing", "broadcasting", "HOLD" */
  char text[1024];     /* in words: what happened, and what to do next */
} seaway_error;

/* The name of a status: "SEAWAY_ABORTED". Never NULL; "SEAWAY_UNKNOWN" for a number that is none. */
SEAWAY_API const char* seaway_status_string(int32_t status);

/* The version of the library that is loaded: "0.1.0". */
SEAWAY_API const char* seaway_version(void);

/* The last error of a communicator on any thread, or of an op. *error is zeroed but for its struct_size if there was none.
 * Exactly one of comm and op is given, the other is NULL. To explain a failed seaway_create pass the handle it gave.
 * Returns: OK; INVALID (error is NULL, its struct_size is not that of a seaway_error, none or both handles given); CLOSED. */
SEAWAY_API seaway_status seaway_error_get(seaway_comm* comm, seaway_op* op, seaway_error* error);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Joining and leaving                                                                                                 */
/* ------------------------------------------------------------------------------------------------------------------ */

#define SEAWAY_REPLICA_ANY UINT32_MAX

typedef struct seaway_config {
  size_t struct_size;
  const char*
      master;       /* "HOST:PORT" of the master; IPv6 in brackets. Required with plaintext = 1 or ca, and only there */
  const char* name; /* for logs and status; at most 256 bytes. NULL: "HOSTNAME:PID" */
  uint32_t
      replica;   /* the unit of membership and of failure that this process belongs to. SEAWAY_REPLICA_ANY (the default)
                         draws a number; with lanes > 1 it must be given. One (replica, lane) can be taken once */
  uint16_t lane; /* which of the replica's peers this is: 0 .. lanes-1. Lane j of every replica forms a group */
  uint16_t lanes;     /* peers in a replica; the same in the whole run. Default 1 */
  uint32_t min_world; /* the run starts when this many replicas are there. Default 1 */
  const char*
      listen; /* "HOST:PORT" where other peers reach this one; port 0 draws one. NULL: every address, a drawn port */
  const char* const*
      advertise;          /* addresses told to others, "HOST:PORT", tried in this order; port 0 means the port listened
                                   on. NULL: the address listened on, or, listening on every address, the local address of
                                   the connection to the master. Copied */
  size_t advertise_count; /* at most 8 */
  uint32_t
      connections; /* data connections of each link that this peer dials, at most 64. 0 (the default): one, and more while
                           the kernel's buffers are what a long path waits for */
  uint32_t
      rate_mbps; /* what this peer can send and receive, in Mbit/s; chunks are dealt by it. 0: what it measures while ops
                           run, and as much as the others until then. What is stated stands, whatever is measured */
  uint64_t kept_bytes; /* memory for contributions kept until commit, so that a death costs little. Default 1 GiB */
  int32_t
      plaintext; /* 1: connections are neither encrypted nor authenticated, whoever reaches a port can join and read: for a
                           private network, and the master has to run with --plaintext. 0 (the default): TLS 1.3 everywhere,
                           with certificates that the run's master gives to who has a join string */
  uint64_t uuid[2]; /* this peer across its lives; 0, 0 draws one */
  const char*
      join; /* the join string that `seaway master` or `seaway token new` printed, or "@FILE" with one in it (better
                       than an argument, which others on the machine can see). It lets this peer in, and tells it by the pin
                       that it is this run's master that answers. NULL: the environment's SEAWAY_JOIN. Not with plaintext = 1 */
  const char* ca; /* an own PKI in place of a join string: three files in PEM, all or none, and `master` with them. The
                       authorities that the master's certificate is checked against, as that of HOST in `master` */
  const char*
      cert; /* this peer's certificate, and those between it and an authority; at most 4 KiB of them are taken */
  const char*
      key; /* its key, without a password. The files are read when the communicator is made and at each join. The
                       master runs with --ca, --cert and --key, and certifies whoever shows a certificate of --ca */
  const char*
      site; /* a label for where this peer is, at most 64 bytes: the same for peers on one LAN, or behind one line to the
                       others. A large all-reduce then crosses each site's line once each way, not once for each of its members
                       (SEAWAY_PLAN_HIERARCHICAL). NULL: the environment's SEAWAY_SITE, or a site of its own; "" is one, too */
} seaway_config;

/* Fills *config with defaults. struct_size is sizeof(seaway_config) of the caller.
 * Returns: OK; INVALID (NULL, or a size that no version had). */
SEAWAY_API seaway_status seaway_config_init(seaway_config* config, size_t struct_size);

/* Checks *config and makes a communicator. No I/O happens. *comm is always a handle (or NULL when there is no memory), also
 * when this fails, so that seaway_error_get(*comm, NULL, &error) can say why; destroy it either way.
 * Returns: OK; INVALID (the text names the field); NO_MEMORY. */
SEAWAY_API seaway_status seaway_create(seaway_comm** comm, const seaway_config* config);

/* Joins the run and blocks until this peer is a member, which for a newcomer is when every member has come to its next
 * seaway_update. After an eviction the same handle joins again, as a new incarnation. A time-out returns PENDING: joining goes
 * on, call again to wait on. While it waits, seaway_error_get(comm, NULL, &error) gives in error.text what it waits for.
 * Returns: OK; PENDING; INVALID (NaN); BUSY; CLOSED; FORKED; JOIN_REFUSED; NO_MASTER (only after `reconnect`, 15 s, without any
 * answer; joining has stopped); NO_ADDRESS; INTERNAL; NO_MEMORY. Joining as a member: OK at once. */
SEAWAY_API seaway_status seaway_join(seaway_comm* comm, double timeout);

/* Leaves the run: open ops of this peer are cancelled or ended first, the others go on without it and nothing of theirs is
 * aborted for it. For SIGTERM. Afterwards seaway_join may be called again.
 * Returns: OK (also if this peer is no member); PENDING (leaving goes on); INVALID; BUSY; CLOSED; FORKED; EVICTED (that came
 * first); INTERNAL. */
SEAWAY_API seaway_status seaway_leave(seaway_comm* comm, double timeout);

/* Ends this incarnation without asking anybody and frees the handle. Open ops end UNDECIDED, their waits return, their handles
 * stay valid until freed. Blocks for at most about a second. NULL is allowed. After it no buffer is touched.
 * Prefer seaway_leave before it: the others then do not have to find out.
 * Returns: OK; CLOSED (already destroyed); FORKED (the child's handle is gone, nothing else happens). */
SEAWAY_API seaway_status seaway_destroy(seaway_comm* comm);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Membership                                                                                                          */
/* ------------------------------------------------------------------------------------------------------------------ */

/* The one point of the program where others join; call it once per step. Free (no communication) when nobody waits to join.
 * Now and then chunks are dealt anew here, by the rates that members have measured: then, too, it takes a round trip to the master,
 * at most once in 30 s, and a generation begins.
 * When somebody does, everyone admits them at the same call. Every member has to call it equally often, or joiners wait.
 * A newcomer's first update, if it has started no op since its join, is the one that admitted it and returns at once: so the same
 * loop of update and collectives serves everybody.
 * *view, unless view is NULL, is a new snapshot; free it. A time-out returns PENDING and the update goes on: call again.
 * Returns: OK; PENDING; INVALID; BUSY; CLOSED; FORKED; NOT_MEMBER; EVICTED; INTERNAL; NO_MEMORY. */
SEAWAY_API seaway_status seaway_update(seaway_comm* comm, seaway_view** view, double timeout);

typedef struct seaway_view_info {
  size_t struct_size;
  seaway_epoch epoch;
  uint32_t generation;   /* rises when somebody joins, and when chunks are dealt by new rates; in seaway_update only */
  uint64_t update_count; /* updates passed: the same number at the same point of every member's program */
  uint32_t rank;         /* position of my replica in the roster; may change with every epoch */
  uint32_t world_size;   /* replicas */
  uint32_t lanes;
  uint32_t member_count; /* world_size * lanes */
  uint64_t self;         /* my incarnation */
} seaway_view_info;

typedef struct seaway_member {
  size_t struct_size;
  uint64_t peer; /* its incarnation: 64 random bits, one life of one process. Name members by it, not by rank */
  uint64_t uuid[2];
  uint32_t replica;
  uint16_t lane;
  uint16_t reserved;
  char name[257];
  char address[257]; /* the first that it advertises */
  char site[65];     /* the label that it stated; empty: a site of its own */
} seaway_member;

/* A snapshot of the membership as it is now.
 * Returns: OK; INVALID (view is NULL); CLOSED; FORKED; NOT_MEMBER; NO_MEMORY. */
SEAWAY_API seaway_status seaway_view_get(seaway_comm* comm, seaway_view** view);
/* Returns: OK; INVALID; CLOSED. */
SEAWAY_API seaway_status seaway_view_info_get(const seaway_view* view, seaway_view_info* info);
/* Member `index` in roster order (0 .. member_count-1): replicas by admission, the lanes of a replica together.
 * Returns: OK; INVALID (no such index, bad struct); CLOSED. */
SEAWAY_API seaway_status seaway_view_member(const seaway_view* view, seaway_member* member, uint32_t index);
/* Whose the blocks of seaway_reduce_scatter and seaway_all_gather are, in their order: the members of my lane with which my
 * generation began. Those that were lost since still have theirs, so that the number changes in seaway_update and seaway_join only,
 * and is the same for all. *count is that number; of `peers`, unless it is NULL, at most `capacity` are filled.
 * Returns: OK; INVALID (count is NULL); CLOSED. */
SEAWAY_API seaway_status seaway_view_blocks(const seaway_view* view, uint64_t* peers, size_t capacity, size_t* count);
/* NULL is allowed. */
SEAWAY_API void seaway_view_free(seaway_view* view);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Collectives                                                                                                         */
/* ------------------------------------------------------------------------------------------------------------------ */

typedef enum seaway_dtype {
  SEAWAY_F32 = 1,
  SEAWAY_F64 = 2,
  SEAWAY_F16 = 3,
  SEAWAY_BF16 = 4,
  SEAWAY_I8 = 5,
  SEAWAY_U8 = 6,
  SEAWAY_I16 = 7,
  SEAWAY_U16 = 8,
  SEAWAY_I32 = 9,
  SEAWAY_U32 = 10,
  SEAWAY_I64 = 11,
  SEAWAY_U64 = 12
} seaway_dtype;

/* f16 and bf16 are summed in f32 and rounded once; f32 in f32. Members are added in roster order (where they share sites: those of each
 * site, then the sites), so the bits are the same everywhere and from run to run. Integer sum and prod wrap. avg = sum(w*x)/sum(w) and is refused on integers. A NaN is the
 * dtype's one canonical NaN; min and max give NaN if any input is NaN, and order -0 below +0. */
typedef enum seaway_reduction {
  SEAWAY_SUM = 1,
  SEAWAY_AVG = 2,
  SEAWAY_MIN = 3,
  SEAWAY_MAX = 4,
  SEAWAY_PROD = 5
} seaway_reduction;

/* Where memory lies. SEAWAY_CUDA: on a GPU, which follows from the pointer. All buffers of one op, and its residual, lie on one. It
 * takes libseaway_cuda.so beside libseaway, or where SEAWAY_CUDA_LIBRARY in the environment says, a GPU of compute capability 7.5 or
 * later and a driver of CUDA 12.1 or later (of CUDA 13 where that built the library); without them ops are NO_DEVICE. Memory and
 * streams are those of the GPU's primary context, as the CUDA run time's are. Members may differ in it. Its data is aligned to its
 * elements. With a codec each way it is encoded, added up and hashed there, and only encodings cross the bus. That takes memory of the
 * device, as much as the result and what is encoded of the input, which is kept for the next op; where it has none left, the host's
 * serves. */
typedef enum seaway_device { SEAWAY_HOST = 0, SEAWAY_CUDA = 1 } seaway_device;

/* Whether buffers there can be used in this process; of SEAWAY_HOST they always can. *error, unless NULL, is filled if not: its
 * text says what was looked for, and what was in the way. Once looked for, it is not looked for again.
 * Returns: OK; NO_DEVICE; INVALID (device is no seaway_device, *error has not the struct_size of a seaway_error); NO_MEMORY. */
SEAWAY_API seaway_status seaway_device_check(int32_t device, seaway_error* error);

/* A piece of memory: `count` elements. Any alignment on the host. Several pieces of one call are one op with one commit; all have one dtype.
 * All members must have the same counts, one by one (but of seaway_exchange).
 * Pieces that are written must not overlap (those of a broadcast's root neither, so that all members may make the same call). At
 * most 2^20 pieces and 2^50 bytes. */
typedef struct seaway_buffer {
  void* data;
  uint64_t count;
  int32_t dtype;  /* a seaway_dtype */
  int32_t device; /* a seaway_device */
} seaway_buffer;

typedef enum seaway_on_loss {
  SEAWAY_RESUME = 0, /* a member dies: the others commit over the survivors */
  SEAWAY_FAIL = 1    /* a member dies: ABORTED with inputs intact, unless all already held the result */
} seaway_on_loss;

/* How f32 travels in fewer bytes, of a sum or an average, or gathered. Bits are equal on everybody, as without.
 * Each block of elements (of all pieces, one after the other) has a scale: its largest magnitude by the largest code, rounded up
 * to a bf16. Each element then differs by at most half a scale, with stochastic rounding by less than one.
 * A block with a NaN or an infinity becomes NaN. bf16 has no blocks: it keeps 8 significant bits of each. */
typedef enum seaway_codec {
  SEAWAY_CODEC_NONE = 0,
  SEAWAY_CODEC_BF16 = 1, /* half the bytes */
  SEAWAY_CODEC_Q8 = 2,   /* -127..127 times the scale of 256 elements: .252 of the bytes */
  SEAWAY_CODEC_Q4 = 3    /* -7..7 times the scale of 32 elements: .141 of the bytes */
} seaway_codec;

typedef enum seaway_rounding {
  SEAWAY_NEAREST = 0,   /* ties to even */
  SEAWAY_STOCHASTIC = 1 /* up or down at random, so that the mean over many ops is the number itself */
} seaway_rounding;

typedef struct seaway_options {
  size_t struct_size;
  uint64_t tag; /* below 2^62. Ops of one tag match by their order; default 0 */
  double
      weight; /* of this peer's contribution; SEAWAY_AVG with weighted = 1 only. Finite, >= 0. Default 1, which it has
                          to stay without weighted */
  int32_t weighted; /* 1: weights count; all members must say the same. 0 (default): all weigh 1 */
  int32_t on_loss;  /* a seaway_on_loss; all members must say the same */
  uint64_t layout;  /* a hash of whatever else must agree (names, shapes); compared among members. Default 0 */
  double
      no_progress; /* seconds without any byte of this op, after which the master decides it: committed if everyone holds the
                          result, else aborted. 0: none. A slow peer is then the end of the op, so be generous */
  double deadline; /* seconds from the start, after which the same happens. 0: none */
  /* Codecs are seaway_codecs, f32 only. All members must say the same of these three; the default is 0.
   * codec_up: of what members contribute. A contribution is encoded once, and its own member takes for it what the others get.
   * codec_down: of an all-reduce's results on their way from the members that reduced them. Of two members, and of small ops,
   * everybody reduces for himself, and no result travels.
   * rounding: a seaway_rounding, of contributions. Results are rounded to nearest. */
  int32_t codec_up;
  int32_t codec_down;
  int32_t rounding;
  /* Of what this peer sends: an op goes before all of a lower priority, those of one priority share the links, a frame each.
   * Each member chooses for itself, and does better to choose like the others. Default 0. */
  int32_t priority;
  /* Error feedback, with a codec_up: as many f32 as all pieces of `in` have together, zeros at first. They are added to the input
   * before it is encoded, and become what encoding has lost once the op has committed with this member's contribution (and
   * a weight above 0); an op that ends otherwise leaves them as they were. The library's while the op runs; no overlap with any
   * buffer. NULL (the default): what is lost is lost. Each member chooses for itself. */
  float* residual;
  /* All-reduce and reduce-scatter: so many contributions suffice, 1 or more; once they have been there for grace_s seconds
   * (whole milliseconds, rounded up), the op goes on without the others. A member that starts it later gets the result as
   * well, at once if it is there; its own input does not count, and is intact (see contributors of the result). Until then
   * the library holds the result for it, up to 4 GiB of all ops together; beyond it the others wait. More than there are
   * members: everybody's. All members must say the same of both; one that says something else when the others have what
   * they need is REFUSED alone. 0 (the default): everybody's contribution is waited for. */
  double grace_s;
  uint64_t quorum;
  /* The transaction that the op is in (seaway_transaction_create), or NULL (the default). Its on_loss is the transaction's, and its
   * tag counts nothing: ops of a transaction match by their order in it. */
  seaway_op* transaction;
  /* Buffers on a GPU: the cudaStream_t on which they were written. The op waits for what is in it at the start, and nothing
   * in it waits for the op: when the op is final its results are there for every stream. NULL: the legacy default stream. */
  void* stream;
} seaway_options;

/* Returns: OK; INVALID. */
SEAWAY_API seaway_status seaway_options_init(seaway_options* options, size_t struct_size);

typedef enum seaway_outcome {
  SEAWAY_COMMITTED = 1,
  SEAWAY_NO_WEIGHT = 2 /* committed, but the contributors' weights sum to 0: no result; the input is untouched */
} seaway_outcome;

/* How an op ran; it is the same on every member. */
typedef enum seaway_plan {
  SEAWAY_PLAN_DIRECT = 0,   /* each chunk has one member that reduces it, and sends the result to all */
  SEAWAY_PLAN_ONE_SHOT = 1, /* everybody sent everything to everybody: small ops, two members */
  SEAWAY_PLAN_HIERARCHICAL =
      2 /* as direct, but each site's contributions were summed there first, and the result came to
                                       each site once: of all-reduces where members share a site (seaway_config.site), but not of
                                       f16 and bf16 (min and max excepted), which it would round twice. With a codec a site's
                                       sum is encoded once more than by other plans */
} seaway_plan;

typedef struct seaway_contributor {
  uint64_t peer;
  double weight;
} seaway_contributor;

/* What became of a committed op. Two members that were told of success were told the same value: contributors, weights and
 * hash (of a reduce-scatter and an exchange, where each gets something else: contributors and weights). */
typedef struct seaway_result {
  size_t struct_size;
  seaway_contributor* contributors; /* in: your array, or NULL. Filled in roster order */
  size_t contributor_capacity;      /* in: its length */
  size_t contributor_count;         /* how many there are, also if that is more than the capacity */
  uint64_t* lost; /* in: your array, or NULL. Members that were lost while the op ran; of an exchange also
                                       those of its lists that were lost before */
  size_t lost_capacity;
  size_t lost_count;
  int32_t outcome; /* a seaway_outcome */
  int32_t plan;    /* a seaway_plan */
  double weight_sum;
  seaway_epoch epoch;   /* when it ended */
  seaway_epoch attempt; /* the try that committed */
  uint32_t attempts;    /* 1: undisturbed */
  uint32_t seq;
  uint64_t hash;              /* of the result's bytes; of a reduce-scatter and an exchange, of what this member got */
  uint64_t contributors_hash; /* of contributors and weights */
  uint64_t bytes_sent;        /* payload as it travels, encoded, repeats included */
  uint64_t bytes_received;
  uint64_t bytes_resent; /* of bytes_sent, because of losses */
  uint64_t
      scratch_bytes; /* memory that the library took because the op was in place, or had a codec or a hierarchical plan */
  double seconds;    /* from start to end */
} seaway_result;

/* Returns: OK; INVALID. */
SEAWAY_API seaway_status seaway_result_init(seaway_result* result, size_t struct_size);

/* Reduces `in[0..count-1]` over all members of this peer's lane into `out[0..count-1]`; with out NULL in place. out[i] must have
 * the element count of in[i] and may not overlap any input. In place the input keeps its old values until the op commits, and for
 * good if it does not (a scratch of the same size is used). `reduction` is a seaway_reduction. options may be NULL.
 * _start returns at once; *op has to be freed. The other form is start + wait(-1) + free.
 * Returns: OK; of _start: INVALID, CLOSED, FORKED, NOT_MEMBER, EVICTED, TOO_MANY, NO_MEMORY; of the blocking form also
 * REFUSED, ABORTED, UNDECIDED, INTERNAL. result may be NULL; it is filled only on OK. */
SEAWAY_API seaway_status seaway_all_reduce(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                           const seaway_buffer* in, size_t count, int32_t reduction,
                                           const seaway_options* options);
SEAWAY_API seaway_status seaway_all_reduce_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                                 const seaway_buffer* in, size_t count, int32_t reduction,
                                                 const seaway_options* options);

/* As seaway_all_reduce, but each member gets one block of the result. in[i] has a block of out[i].count elements for each member
 * of the generation (seaway_view_blocks), one after the other; out[i] gets the reduction of this member's. Never in place.
 * A member that is lost does not contribute, as there, and the block that was to be its own goes to nobody.
 * Returns as seaway_all_reduce. Found after the start, if a seaway_update has run at the same time: INVALID. */
SEAWAY_API seaway_status seaway_reduce_scatter(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                               const seaway_buffer* in, size_t count, int32_t reduction,
                                               const seaway_options* options);
SEAWAY_API seaway_status seaway_reduce_scatter_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                                     const seaway_buffer* in, size_t count, int32_t reduction,
                                                     const seaway_options* options);

/* Gives everyone everyone's in[0..count-1]. out[i] has a block of in[i].count elements for each member of the generation
 * (seaway_view_blocks), one after the other. Never in place. Blocks of members that are not among result.contributors (lost before
 * all had their block, or not counted because they have not synced) are zeros, on everyone.
 * Returns as seaway_reduce_scatter. */
SEAWAY_API seaway_status seaway_all_gather(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                           const seaway_buffer* in, size_t count, const seaway_options* options);
SEAWAY_API seaway_status seaway_all_gather_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                                 const seaway_buffer* in, size_t count, const seaway_options* options);

/* Copies the root's `buffers[0..count-1]` to everyone's. `root` is a member's incarnation (seaway_member.peer). If the root is
 * lost before all hold the data the op ends ABORTED; if it is no member, REFUSED. The root's buffers are only read. On the others
 * they are undefined until the op commits.
 * Returns as seaway_all_reduce. */
SEAWAY_API seaway_status seaway_broadcast(seaway_comm* comm, seaway_result* result, const seaway_buffer* buffers,
                                          size_t count, uint64_t root, const seaway_options* options);
SEAWAY_API seaway_status seaway_broadcast_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* buffers,
                                                size_t count, uint64_t root, const seaway_options* options);

/* Memory of which the content goes to a member, or comes from one. `peer` is an incarnation of this lane (seaway_member.peer). */
typedef struct seaway_share {
  uint64_t peer;
  seaway_buffer buffer;
} seaway_share;

/* A batch of sends and receives among all members of this peer's lane, one commit: an all-to-all in which each pair has its own
 * count. Every member calls it, one that sends and receives nothing too. `sends[0..send_count-1]` go to their peers,
 * `receives[0..receive_count-1]` are filled by theirs; either list may be empty (and then NULL). Shares of one peer are one piece
 * of data, in the order of the list; both ends of a pair must say the same number of elements, however they cut them. A member
 * may send to itself, which copies. `dtype` is that of every buffer of the batch, and the same on every member; the lists are not
 * compared otherwise. No buffer of `receives` may overlap any other.
 *
 * Who is named must be one of seaway_view_blocks. If it is not among result.contributors (lost before everybody had what it
 * sends, or not counted because it has not synced), what it was to send is zeros; what it was to get goes to nobody; if it was
 * lost, result.lost names it. That holds as well for one that was lost before the call. With on_loss = SEAWAY_FAIL the op ends
 * ABORTED instead. If the two ends of a pair differ in their counts, the op ends ABORTED on every member, and the text has both.
 *
 * As of a reduce-scatter, each member has another result: result.hash is that of what this member received.
 * No weights and no codecs. Returns as seaway_reduce_scatter. */
SEAWAY_API seaway_status seaway_exchange(seaway_comm* comm, seaway_result* result, const seaway_share* receives,
                                         size_t receive_count, const seaway_share* sends, size_t send_count,
                                         int32_t dtype, const seaway_options* options);
SEAWAY_API seaway_status seaway_exchange_start(seaway_comm* comm, seaway_op** op, const seaway_share* receives,
                                               size_t receive_count, const seaway_share* sends, size_t send_count,
                                               int32_t dtype, const seaway_options* options);

/* Sends `in[0..count-1]` to the member `to`, which calls seaway_recv with `from` this one and `out` of the same counts, one by one.
 * Both are incarnations of this lane (seaway_member.peer). The two calls are one op of these two members; nobody else takes part
 * or waits. They match by their order among the ops from this member to that one, of one tag, since the last seaway_update at which
 * somebody joined (or new rates began): both ends must make both calls on the same side of it.
 *
 * OK at the sender means that the receiver has the data, or had it and is gone. If either end is lost before, the op ends ABORTED,
 * whatever on_loss says; if it was gone before the call, REFUSED; if the two ends differ (counts, dtype, layout), REFUSED at both, and
 * the text has both. In a run with a shared state, a sender that has not synced is not counted: result.outcome is SEAWAY_NO_WEIGHT.
 * No weights and no codecs. Returns as seaway_all_reduce; INVALID also if the other end is this peer itself: that is no op. */
SEAWAY_API seaway_status seaway_send(seaway_comm* comm, seaway_result* result, const seaway_buffer* in, size_t count,
                                     uint64_t to, const seaway_options* options);
SEAWAY_API seaway_status seaway_send_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* in, size_t count,
                                           uint64_t to, const seaway_options* options);
SEAWAY_API seaway_status seaway_recv(seaway_comm* comm, seaway_result* result, const seaway_buffer* out, size_t count,
                                     uint64_t from, const seaway_options* options);
SEAWAY_API seaway_status seaway_recv_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out, size_t count,
                                           uint64_t from, const seaway_options* options);

/* Returns when every member has called it.
 * Returns as seaway_all_reduce. */
SEAWAY_API seaway_status seaway_barrier(seaway_comm* comm, seaway_result* result, const seaway_options* options);
SEAWAY_API seaway_status seaway_barrier_start(seaway_comm* comm, seaway_op** op, const seaway_options* options);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Transactions                                                                                                        */
/* ------------------------------------------------------------------------------------------------------------------ */

/* Ops that commit together, in all lanes of all replicas, or not at all: one step of a model whose parts are on several lanes.
 *
 *   seaway_transaction_create(comm, &transaction, NULL);
 *   options.transaction = transaction;
 *   seaway_all_reduce_start(comm, &op, ..., &options);       and more of them, none if need be
 *   seaway_transaction_close(transaction);
 *   seaway_wait(&transaction, 1, SEAWAY_ALL, -1);            the ops in it are final, too, and have its status
 *
 * - The n-th transaction of a communicator (since the last update at which members joined) is the n-th of every other one's, in
 *   every lane: all create them in the same order. What is in it each lane decides for itself, the same on all members of the lane.
 * - Results are staged: outputs, inputs in place and residuals change when it commits, and not at all if it does not. The library
 *   takes as much memory as the ops' results have.
 * - It goes through the death of a replica as an op does, or fails with options.on_loss = SEAWAY_FAIL. A cancel or a deadline, of
 *   it or of an op in it, is of all its ops. Ops or lists that differ, and a broadcast whose root is gone, end it ABORTED, not REFUSED.
 * - Not in it: send and recv, ops with a quorum, blocking forms.
 * Of options count on_loss, no_progress (from the close on), deadline; the rest must have its default, but for layout, which is
 * compared, and priority. NULL: the defaults. *transaction is an op: seaway_wait, seaway_test, seaway_cancel, seaway_event and
 * seaway_free take it. Freed before it is closed it is cancelled.
 * Returns: OK; INVALID, CLOSED, FORKED, NOT_MEMBER, EVICTED, NO_MEMORY. */
SEAWAY_API seaway_status seaway_transaction_create(seaway_comm* comm, seaway_op** transaction,
                                                   const seaway_options* options);

/* No op comes any more. Required before it can commit, and before the next seaway_update (which is BUSY until then). Once it is
 * closed, a start of an op in it is INVALID; before, one in a transaction that was aborted ends ABORTED at once.
 * Returns: OK (also when it was closed before); INVALID (no transaction); CLOSED; FORKED. */
SEAWAY_API seaway_status seaway_transaction_close(seaway_op* transaction);

/* ------------------------------------------------------------------------------------------------------------------ */
/* The shared state                                                                                                    */
/* ------------------------------------------------------------------------------------------------------------------ */

/* Tensors that are to be the same on every member: parameters, the outer optimizer, counters. A sync compares them by hashes,
 * elects a copy and sends what differs, and nothing else:
 *
 *     seaway_state_create(comm, &state);
 *     seaway_state_add(state, "weights", &weights);           // the same names, dtypes and counts on every member
 *     for (;;) {
 *       seaway_update(comm, NULL, -1);
 *       seaway_state_sync(state, &result, step, NULL, -1);    // free of payload while all are alike
 *       step = result.revision;                               // a newcomer has caught up
 *
 * The copy with the newest revision is elected, of those the one that most members have, of those the first in roster order.
 * Once a run has synced, newcomers are neither elected nor counted in collectives (they receive) until their first sync.
 * Its tensors are a lane's own: each lane syncs among the replicas.
 *
 * Hashes are XXH3-128 over leaves of 256 KiB: they find what differs by accident, they do not stop a member that lies. */

typedef enum seaway_sync_role {
  SEAWAY_SEND_AND_RECEIVE = 0,
  SEAWAY_SEND_ONLY =
      1, /* my copy is the one that counts: only such members are elected, and theirs never change. Two of them
                             that differ are REFUSED */
  SEAWAY_RECEIVE_ONLY = 2 /* never elected. If every member says so: REFUSED */
} seaway_sync_role;

typedef struct seaway_sync_options {
  size_t struct_size;
  int32_t role; /* a seaway_sync_role; default SEAWAY_SEND_AND_RECEIVE. Members may differ in it */
  int32_t reserved;
  /* Tensors on a GPU: the cudaStream_t on which they were written, NULL the default stream. The sync waits for what is in it when it
   * begins. Once it has returned OK they are written, for any stream. Default NULL */
  void* stream;
} seaway_sync_options;

/* Returns: OK; INVALID. */
SEAWAY_API seaway_status seaway_sync_options_init(seaway_sync_options* options, size_t struct_size);

typedef struct seaway_sync_result {
  size_t struct_size;
  uint64_t* donors;       /* in: your array, or NULL. The members that had the elected copy, in roster order */
  size_t donor_capacity;  /* in: its length */
  size_t donor_count;     /* how many there are, also if that is more than the capacity */
  uint64_t revision;      /* elected: everybody's from now on */
  uint64_t digest[2];     /* XXH3-128 over the hashes of all leaves; the same on every member */
  uint64_t bytes;         /* of all tensors */
  uint64_t bytes_changed; /* of my tensors: 0 if mine was the elected copy */
  uint64_t bytes_sent;    /* payload */
  uint64_t bytes_received;
  uint32_t rounds; /* 1: undisturbed. A donor that dies costs one more, which fetches only what has not arrived */
  uint32_t reserved;
  double seconds;
} seaway_sync_result;

/* Returns: OK; INVALID. */
SEAWAY_API seaway_status seaway_sync_result_init(seaway_sync_result* result, size_t struct_size);

/* Makes a shared state without tensors; free it. It outlives evictions: join again with the communicator and go on.
 * Returns: OK; INVALID (state is NULL); CLOSED; FORKED; INTERNAL; NO_MEMORY. */
SEAWAY_API seaway_status seaway_state_create(seaway_comm* comm, seaway_state** state);

/* Registers a tensor. The order of calls does not matter. For a name that is registered already, with the same dtype and count,
 * it says where the tensor lies now. The memory stays the caller's; a sync reads it, and writes it at its end. Tensors must not
 * overlap. Those on GPUs (device SEAWAY_CUDA) lie on one; the other members' may lie anywhere. They are hashed there, and only leaves
 * that differ are copied. Errors are explained by seaway_error_get of the communicator.
 * Returns: OK; INVALID (the text names what); BUSY (a sync is unfinished); NO_DEVICE; CLOSED; FORKED; NO_MEMORY. */
SEAWAY_API seaway_status seaway_state_add(seaway_state* state, const char* name, const seaway_buffer* buffer);

/* A collective call: every member of the lane makes it at the same point of its program. Afterwards all have the same bytes and
 * the same revision. `revision` is the version of this member's copy; a step count serves. Memory for what arrives is taken until
 * it is complete: a newcomer needs the size of its tensors once more. If the call fails no tensor and no revision has changed
 * anywhere, but for members that were lost with it; what has arrived is kept and not fetched again.
 * A time-out returns PENDING: the tensors stay the library's, seaway_update is BUSY, the other members wait; call it again with the
 * same arguments. One sync of a communicator at a time.
 * Returns: OK; PENDING; INVALID; BUSY; REFUSED (members registered different tensors, or see seaway_sync_role; the text says
 * which); ABORTED (given up after 100 rounds); EVICTED; UNDECIDED; NOT_MEMBER; NO_DEVICE (the GPU failed: what tensors on it hold is
 * undefined if that was at the end, and the member is as one that has not synced); CLOSED; FORKED; INTERNAL; NO_MEMORY. */
SEAWAY_API seaway_status seaway_state_sync(seaway_state* state, seaway_sync_result* result, uint64_t revision,
                                           const seaway_sync_options* options, double timeout);

/* Frees the handle; the tensors are the caller's. NULL is allowed.
 * Returns: OK; BUSY (a sync is unfinished); CLOSED; FORKED. */
SEAWAY_API seaway_status seaway_state_free(seaway_state* state);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Ops that were started                                                                                               */
/* ------------------------------------------------------------------------------------------------------------------ */

typedef enum seaway_wait_for { SEAWAY_ALL = 0, SEAWAY_ANY = 1 } seaway_wait_for;

/* Waits until all, or any, of the ops are final. All must belong to one communicator. A time-out never ends an op.
 * Returns: OK (they are final; each one's own status is seaway_test's); PENDING; INVALID (count 0, NULL, NaN, ops of several
 * communicators); CLOSED; FORKED; INTERNAL. */
SEAWAY_API seaway_status seaway_wait(seaway_op* const* ops, size_t count, int32_t wait_for, double timeout);

/* The op's status, without waiting. *result, unless NULL, is filled when it is OK.
 * Returns: OK (committed); PENDING; REFUSED; ABORTED; EVICTED; UNDECIDED; NOT_MEMBER and TOO_MANY (found after the start);
 * INTERNAL; INVALID (bad result struct); CLOSED; FORKED. */
SEAWAY_API seaway_status seaway_test(seaway_op* op, seaway_result* result);

/* Asks the master to end the op: committed if everyone already holds the result, else aborted for all. Wait for what was decided.
 * Without a master in reach the request waits for one. reason may be NULL; others see it.
 * Returns: OK (asked, or already final); CLOSED; FORKED. */
SEAWAY_API seaway_status seaway_cancel(seaway_op* op, const char* reason);

/* Frees the handle. An op that is not final goes on and keeps its buffers until it is. NULL is allowed. */
SEAWAY_API void seaway_free(seaway_op* op);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Events                                                                                                              */
/* ------------------------------------------------------------------------------------------------------------------ */

typedef enum seaway_event_kind {
  SEAWAY_EVENT_NONE = 0,
  SEAWAY_EVENT_OP_DONE = 1,       /* `op` is final. Not told of the blocking forms, nor of an op that was freed */
  SEAWAY_EVENT_EPOCH_CHANGED = 2, /* somebody left or joined; `epoch` */
  SEAWAY_EVENT_EVICTED = 3,       /* this incarnation is over; `text` says why */
  SEAWAY_EVENT_LOG = 4            /* a line for whoever debugs */
} seaway_event_kind;

typedef struct seaway_event {
  size_t struct_size;
  int32_t kind; /* a seaway_event_kind */
  int32_t reserved;
  seaway_op* op;
  seaway_epoch epoch;
  char text[512];
} seaway_event;

/* A descriptor that polls readable while events wait. It belongs to the communicator; do not read or close it.
 * Returns: OK; INVALID; CLOSED; FORKED; NO_MEMORY (no descriptor was left). */
SEAWAY_API seaway_status seaway_event_fd(seaway_comm* comm, int* fd);

/* Takes the oldest event; kind NONE if there is none. At most 1024 wait; beyond that the oldest log lines go first, then the oldest.
 * Returns: OK; INVALID; CLOSED; FORKED. */
SEAWAY_API seaway_status seaway_next_event(seaway_comm* comm, seaway_event* event);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Arithmetic and hashes                                                                                               */
/* ------------------------------------------------------------------------------------------------------------------ */

/* What members do alike to their copies of the shared state: the same input has the same bits on every machine, whatever its
 * processor, on a GPU as on the host, in any floating-point environment of the thread. Each operation is rounded once, to nearest; a
 * NaN is the canonical one. They need no communicator; any threads may call them at once on different memory. Of several tensors each
 * has a call.
 *
 * On the host (device SEAWAY_HOST, of any alignment) they run on the caller's thread, and `stream` is NULL. On a GPU (SEAWAY_CUDA, all
 * buffers of a call on one) `stream` is a cudaStream_t of that GPU, NULL its legacy default stream. What is to be done is put into that
 * stream, as a kernel of the caller's own would be: it sees what was put in before, and what is put in later sees its result.
 * seaway_outer_step and seaway_lincomb do not wait: OK says that it is in the stream, the buffers stay as they are until it is done,
 * and what fails then is the stream's to tell. seaway_sqnorm and seaway_hash wait until they have their number, which they compute in
 * a stream of their own; their thread keeps that, and a MiB of the host's memory, pinned, for the next. While the stream is captured
 * the first two become a part of the graph; the other two are NO_DEVICE, and nothing becomes of the capture.
 *
 * There is no text. INVALID, of every function here: a pointer is NULL, a buffer is not valid (of a dtype or device that there is not,
 * NULL with elements, above 2^50 bytes, on a GPU not aligned), is SEAWAY_CUDA and memory of the host's, or lies elsewhere than another
 * one of the call; stream is not NULL and the buffers are the host's. Mend the call. NO_DEVICE: a buffer is SEAWAY_CUDA, and there is
 * no libseaway_cuda.so, no driver or no GPU: give memory of the host's, or install them. Or the GPU failed, or the stream is not that
 * GPU's (or is captured): what was to be written is undefined; after a failure start the process anew. Vectors without elements are no
 * error, wherever they lie. */

/* One step of an outer optimizer, by element:
 *
 *     buf   = momentum * buf + gradient
 *     theta = theta - lr * (nesterov ? momentum * buf + gradient : buf)
 *
 * momentum 0: SGD; nesterov 0: heavy ball; nesterov 1: Nesterov's, as PyTorch has it. buf starts as zeros. theta and buf are
 * written; none of the three may overlap another. They are f32 or f64, of one dtype and count; lr and momentum become numbers of that
 * dtype first.
 * Returns: OK; INVALID (see above; they are not alike or overlap, lr or momentum is not finite, nesterov is neither 0 nor 1): nothing
 * was written; NO_DEVICE; NO_MEMORY (nothing was written). */
SEAWAY_API seaway_status seaway_outer_step(const seaway_buffer* theta, const seaway_buffer* buf,
                                           const seaway_buffer* gradient, double lr, double momentum, int32_t nesterov,
                                           void* stream);

/* out = factors[0] * x[0] + factors[1] * x[1] + ..., by element, from the first to the last. `factors` has as many as x, which
 * become numbers of the vectors' dtype first, f32 or f64. Neither list is needed once it has returned. A factor of 0 counts: 0 * NaN is
 * NaN. out may be exactly one of x, or several times the same, and overlaps none of them otherwise.
 * Returns: OK; INVALID (see above; count is 0, above 2^20, or on a GPU above 256, they are not alike, out overlaps in part, a factor
 * is not finite): nothing was written; NO_DEVICE; NO_MEMORY (of a few bytes for each term; nothing was written). */
SEAWAY_API seaway_status seaway_lincomb(const seaway_buffer* out, const seaway_buffer* x, const double* factors,
                                        size_t count, void* stream);

/* *sum is that of the squares of x, which is f32, added up in f64 in an order that is part of the definition: 32 sums of a block of
 * 16384 elements, then these, then the blocks.
 * Returns: OK; INVALID (see above; x is not f32); NO_DEVICE; NO_MEMORY. *sum is written if it is OK. */
SEAWAY_API seaway_status seaway_sqnorm(double* sum, const seaway_buffer* x, void* stream);

/* The digest of x, of any dtype: as in the seaway_sync_result of a shared state that has x alone, XXH3-128 over the hashes of leaves of
 * 256 KiB. It is of the bytes: equal values may differ in it, as 0 and -0 do.
 * Returns: OK; INVALID; NO_DEVICE; NO_MEMORY (see above). `digest` is written if it is OK. */
SEAWAY_API seaway_status seaway_hash(uint64_t digest[2], const seaway_buffer* x, void* stream);

#ifdef __cplusplus
}
#endif

#endif
