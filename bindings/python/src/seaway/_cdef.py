"""What cffi reads: the declarations of include/seaway/*.h. Made by generate_cdef.py; do not edit."""

CDEF = """
#define SEAWAY_VERSION_MAJOR 0
#define SEAWAY_VERSION_MINOR 1
#define SEAWAY_VERSION_PATCH 0
typedef enum seaway_status {
  SEAWAY_OK = 0,
  SEAWAY_PENDING = 1,
  SEAWAY_INVALID = 100,
  SEAWAY_BUSY = 101,
  SEAWAY_CLOSED = 102,
  SEAWAY_NOT_MEMBER = 103,
  SEAWAY_FORKED = 104,
  SEAWAY_TOO_MANY = 105,
  SEAWAY_NO_DEVICE = 106,
  SEAWAY_REFUSED = 200,
  SEAWAY_ABORTED = 201,
  SEAWAY_EVICTED = 202,
  SEAWAY_UNDECIDED = 203,
  SEAWAY_JOIN_REFUSED = 204,
  SEAWAY_NO_MASTER = 300,
  SEAWAY_NO_ADDRESS = 301,
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
typedef struct seaway_comm seaway_comm;
typedef struct seaway_op seaway_op;
typedef struct seaway_view seaway_view;
typedef struct seaway_state seaway_state;
typedef struct seaway_epoch {
  uint64_t term;
  uint32_t number;
} seaway_epoch;
typedef struct seaway_error {
  size_t struct_size;
  int32_t status;
  int32_t error_class;
  int32_t retryable;
  uint64_t tag;
  uint32_t seq;
  seaway_epoch epoch;
  uint64_t peer;
  char phase[32];
  char text[1024];
} seaway_error;
const char* seaway_status_string(int32_t status);
const char* seaway_version(void);
seaway_status seaway_error_get(seaway_comm* comm, seaway_op* op, seaway_error* error);
#define SEAWAY_REPLICA_ANY 4294967295
typedef struct seaway_config {
  size_t struct_size;
  const char* master;
  const char* name;
  uint32_t replica;
  uint16_t lane;
  uint16_t lanes;
  uint32_t min_world;
  const char* listen;
  const char* const* advertise;
  size_t advertise_count;
  uint32_t connections;
  uint32_t rate_mbps;
  uint64_t kept_bytes;
  int32_t plaintext;
  uint64_t uuid[2];
  const char* join;
  const char* ca;
  const char* cert;
  const char* key;
  const char* site;
} seaway_config;
seaway_status seaway_config_init(seaway_config* config, size_t struct_size);
seaway_status seaway_create(seaway_comm** comm, const seaway_config* config);
seaway_status seaway_join(seaway_comm* comm, double timeout);
seaway_status seaway_leave(seaway_comm* comm, double timeout);
seaway_status seaway_destroy(seaway_comm* comm);
seaway_status seaway_update(seaway_comm* comm, seaway_view** view, double timeout);
typedef struct seaway_view_info {
  size_t struct_size;
  seaway_epoch epoch;
  uint32_t generation;
  uint64_t update_count;
  uint32_t rank;
  uint32_t world_size;
  uint32_t lanes;
  uint32_t member_count;
  uint64_t self;
} seaway_view_info;
typedef struct seaway_member {
  size_t struct_size;
  uint64_t peer;
  uint64_t uuid[2];
  uint32_t replica;
  uint16_t lane;
  uint16_t reserved;
  char name[257];
  char address[257];
  char site[65];
} seaway_member;
seaway_status seaway_view_get(seaway_comm* comm, seaway_view** view);
seaway_status seaway_view_info_get(const seaway_view* view, seaway_view_info* info);
seaway_status seaway_view_member(const seaway_view* view, seaway_member* member, uint32_t index);
seaway_status seaway_view_blocks(const seaway_view* view, uint64_t* peers, size_t capacity, size_t* count);
void seaway_view_free(seaway_view* view);
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
typedef enum seaway_reduction {
  SEAWAY_SUM = 1,
  SEAWAY_AVG = 2,
  SEAWAY_MIN = 3,
  SEAWAY_MAX = 4,
  SEAWAY_PROD = 5
} seaway_reduction;
typedef enum seaway_device { SEAWAY_HOST = 0, SEAWAY_CUDA = 1 } seaway_device;
seaway_status seaway_device_check(int32_t device, seaway_error* error);
typedef struct seaway_buffer {
  void* data;
  uint64_t count;
  int32_t dtype;
  int32_t device;
} seaway_buffer;
typedef enum seaway_on_loss {
  SEAWAY_RESUME = 0,
  SEAWAY_FAIL = 1
} seaway_on_loss;
typedef enum seaway_codec {
  SEAWAY_CODEC_NONE = 0,
  SEAWAY_CODEC_BF16 = 1,
  SEAWAY_CODEC_Q8 = 2,
  SEAWAY_CODEC_Q4 = 3
} seaway_codec;
typedef enum seaway_rounding {
  SEAWAY_NEAREST = 0,
  SEAWAY_STOCHASTIC = 1
} seaway_rounding;
typedef struct seaway_options {
  size_t struct_size;
  uint64_t tag;
  double weight;
  int32_t weighted;
  int32_t on_loss;
  uint64_t layout;
  double no_progress;
  double deadline;
  int32_t codec_up;
  int32_t codec_down;
  int32_t rounding;
  int32_t priority;
  float* residual;
  double grace_s;
  uint64_t quorum;
  seaway_op* transaction;
  void* stream;
} seaway_options;
seaway_status seaway_options_init(seaway_options* options, size_t struct_size);
typedef enum seaway_outcome {
  SEAWAY_COMMITTED = 1,
  SEAWAY_NO_WEIGHT = 2
} seaway_outcome;
typedef enum seaway_plan {
  SEAWAY_PLAN_DIRECT = 0,
  SEAWAY_PLAN_ONE_SHOT = 1,
  SEAWAY_PLAN_HIERARCHICAL = 2
} seaway_plan;
typedef struct seaway_contributor {
  uint64_t peer;
  double weight;
} seaway_contributor;
typedef struct seaway_result {
  size_t struct_size;
  seaway_contributor* contributors;
  size_t contributor_capacity;
  size_t contributor_count;
  uint64_t* lost;
  size_t lost_capacity;
  size_t lost_count;
  int32_t outcome;
  int32_t plan;
  double weight_sum;
  seaway_epoch epoch;
  seaway_epoch attempt;
  uint32_t attempts;
  uint32_t seq;
  uint64_t hash;
  uint64_t contributors_hash;
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t bytes_resent;
  uint64_t scratch_bytes;
  double seconds;
} seaway_result;
seaway_status seaway_result_init(seaway_result* result, size_t struct_size);
seaway_status seaway_all_reduce(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                           const seaway_buffer* in, size_t count, int32_t reduction,
                                           const seaway_options* options);
seaway_status seaway_all_reduce_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                                 const seaway_buffer* in, size_t count, int32_t reduction,
                                                 const seaway_options* options);
seaway_status seaway_reduce_scatter(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                               const seaway_buffer* in, size_t count, int32_t reduction,
                                               const seaway_options* options);
seaway_status seaway_reduce_scatter_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                                     const seaway_buffer* in, size_t count, int32_t reduction,
                                                     const seaway_options* options);
seaway_status seaway_all_gather(seaway_comm* comm, seaway_result* result, const seaway_buffer* out,
                                           const seaway_buffer* in, size_t count, const seaway_options* options);
seaway_status seaway_all_gather_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out,
                                                 const seaway_buffer* in, size_t count, const seaway_options* options);
seaway_status seaway_broadcast(seaway_comm* comm, seaway_result* result, const seaway_buffer* buffers,
                                          size_t count, uint64_t root, const seaway_options* options);
seaway_status seaway_broadcast_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* buffers,
                                                size_t count, uint64_t root, const seaway_options* options);
typedef struct seaway_share {
  uint64_t peer;
  seaway_buffer buffer;
} seaway_share;
seaway_status seaway_exchange(seaway_comm* comm, seaway_result* result, const seaway_share* receives,
                                         size_t receive_count, const seaway_share* sends, size_t send_count,
                                         int32_t dtype, const seaway_options* options);
seaway_status seaway_exchange_start(seaway_comm* comm, seaway_op** op, const seaway_share* receives,
                                               size_t receive_count, const seaway_share* sends, size_t send_count,
                                               int32_t dtype, const seaway_options* options);
seaway_status seaway_send(seaway_comm* comm, seaway_result* result, const seaway_buffer* in, size_t count,
                                     uint64_t to, const seaway_options* options);
seaway_status seaway_send_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* in, size_t count,
                                           uint64_t to, const seaway_options* options);
seaway_status seaway_recv(seaway_comm* comm, seaway_result* result, const seaway_buffer* out, size_t count,
                                     uint64_t from, const seaway_options* options);
seaway_status seaway_recv_start(seaway_comm* comm, seaway_op** op, const seaway_buffer* out, size_t count,
                                           uint64_t from, const seaway_options* options);
seaway_status seaway_barrier(seaway_comm* comm, seaway_result* result, const seaway_options* options);
seaway_status seaway_barrier_start(seaway_comm* comm, seaway_op** op, const seaway_options* options);
seaway_status seaway_transaction_create(seaway_comm* comm, seaway_op** transaction,
                                                   const seaway_options* options);
seaway_status seaway_transaction_close(seaway_op* transaction);
typedef enum seaway_sync_role {
  SEAWAY_SEND_AND_RECEIVE = 0,
  SEAWAY_SEND_ONLY = 1,
  SEAWAY_RECEIVE_ONLY = 2
} seaway_sync_role;
typedef struct seaway_sync_options {
  size_t struct_size;
  int32_t role;
  int32_t reserved;
  void* stream;
} seaway_sync_options;
seaway_status seaway_sync_options_init(seaway_sync_options* options, size_t struct_size);
typedef struct seaway_sync_result {
  size_t struct_size;
  uint64_t* donors;
  size_t donor_capacity;
  size_t donor_count;
  uint64_t revision;
  uint64_t digest[2];
  uint64_t bytes;
  uint64_t bytes_changed;
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint32_t rounds;
  uint32_t reserved;
  double seconds;
} seaway_sync_result;
seaway_status seaway_sync_result_init(seaway_sync_result* result, size_t struct_size);
seaway_status seaway_state_create(seaway_comm* comm, seaway_state** state);
seaway_status seaway_state_add(seaway_state* state, const char* name, const seaway_buffer* buffer);
seaway_status seaway_state_sync(seaway_state* state, seaway_sync_result* result, uint64_t revision,
                                           const seaway_sync_options* options, double timeout);
seaway_status seaway_state_free(seaway_state* state);
typedef enum seaway_wait_for { SEAWAY_ALL = 0, SEAWAY_ANY = 1 } seaway_wait_for;
seaway_status seaway_wait(seaway_op* const* ops, size_t count, int32_t wait_for, double timeout);
seaway_status seaway_test(seaway_op* op, seaway_result* result);
seaway_status seaway_cancel(seaway_op* op, const char* reason);
void seaway_free(seaway_op* op);
typedef enum seaway_event_kind {
  SEAWAY_EVENT_NONE = 0,
  SEAWAY_EVENT_OP_DONE = 1,
  SEAWAY_EVENT_EPOCH_CHANGED = 2,
  SEAWAY_EVENT_EVICTED = 3,
  SEAWAY_EVENT_LOG = 4
} seaway_event_kind;
typedef struct seaway_event {
  size_t struct_size;
  int32_t kind;
  int32_t reserved;
  seaway_op* op;
  seaway_epoch epoch;
  char text[512];
} seaway_event;
seaway_status seaway_event_fd(seaway_comm* comm, int* fd);
seaway_status seaway_next_event(seaway_comm* comm, seaway_event* event);
seaway_status seaway_outer_step(const seaway_buffer* theta, const seaway_buffer* buf,
                                           const seaway_buffer* gradient, double lr, double momentum, int32_t nesterov,
                                           void* stream);
seaway_status seaway_lincomb(const seaway_buffer* out, const seaway_buffer* x, const double* factors,
                                        size_t count, void* stream);
seaway_status seaway_sqnorm(double* sum, const seaway_buffer* x, void* stream);
seaway_status seaway_hash(uint64_t digest[2], const seaway_buffer* x, void* stream);
typedef struct seaway_master seaway_master;
typedef struct seaway_master_config {
  size_t struct_size;
  const char* listen;
  int32_t plaintext;
} seaway_master_config;
seaway_status seaway_master_config_init(seaway_master_config* config, size_t struct_size);
seaway_status seaway_master_start(seaway_master** master, const seaway_master_config* config,
                                             seaway_error* error);
const char* seaway_master_address(const seaway_master* master);
const char* seaway_master_join_string(const seaway_master* master);
seaway_status seaway_master_stop(seaway_master* master);
"""
