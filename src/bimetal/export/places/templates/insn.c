/* Counts the instructions of place_points, row by row, inside QEMU.

   QEMU tells a plugin of every block of instructions that it translates and, if asked, of every time
   one begins. Counting starts when place_points is entered from place_rows and ends when place_rows
   goes on: what lies between is one row, to the instruction, whatever functions it calls. Arguments:
   entry (of place_points), from and to (of place_rows), out (a file of one uint64 a row).

   The few prototypes are declared by hand, as many distributions ship QEMU without its header. They are
   those of QEMU 7.2 (its documentation, "TCG Plugins"). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef struct qemu_info_t qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*on_translation)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
typedef void (*on_end)(qemu_plugin_id_t id, void* given);
typedef void (*on_execution)(unsigned int vcpu, void* given);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, on_translation call);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* tb, on_execution call, enum qemu_plugin_cb_flags flags,
                                          void* given);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, on_end call, void* given);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* tb);

int qemu_plugin_version = PLUGIN_VERSION;
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv);

static uint64_t entry, from, to, count;
static int was_in_rows, /* a moment ago */ is_counting;
static FILE* out;

static void enter(unsigned int vcpu, void* n) {
    (void)vcpu;
    if (was_in_rows) { /* else another caller, or a loop whose head is the first instruction */
        was_in_rows = 0;
        is_counting = 1;
        count = 0;
    }
    count += (uintptr_t)n;
}

static void in_rows(unsigned int vcpu, void* n) {
    (void)vcpu;
    (void)n;
    if (is_counting) {
        fwrite(&count, sizeof count, 1, out);
    }
    is_counting = 0;
    was_in_rows = 1;
}

static void elsewhere(unsigned int vcpu, void* n) {
    (void)vcpu;
    was_in_rows = 0;
    count += (uintptr_t)n;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
    uint64_t at = qemu_plugin_tb_vaddr(tb);
    on_execution call = at == entry ? enter : at >= from && at < to ? in_rows : elsewhere;
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, call, QEMU_PLUGIN_CB_NO_REGS,
                                         (void*)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void close_out(qemu_plugin_id_t id, void* given) {
    (void)id;
    (void)given;
    fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
    int i;
    (void)info;
    for (i = 0; i < argc; i++) {
        char* value = strchr(argv[i], '=');
        if (!value) {
            return 1;
        }
        *value++ = 0;
        if (!strcmp(argv[i], "out")) {
            out = fopen(value, "wb");
        } else {
            uint64_t* place = !strcmp(argv[i], "entry") ? &entry : !strcmp(argv[i], "from") ? &from : &to;
            *place = strtoull(value, NULL, 0);
        }
    }
    if (!out) {
        return 1;
    }
    qemu_plugin_register_atexit_cb(id, close_out, NULL);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
