/* What native/build.mjs writes for one tool, in build/NAME/tool.c. */
#include <stddef.h>
#include <stdint.h>

struct JSContext;

struct tool_part {
    const uint8_t *start, *end; /* bytecode, as native/host/bytecode.c wrote it */
    unsigned intrinsics;        /* what of the engine the part uses: the bits of tool_intrinsics */
};

extern const char tool_name[];
extern const struct tool_part tool_parts[]; /* part 0 is what runs at start-up */
extern const size_t tool_part_count;
extern unsigned char tool_part_loaded[]; /* by part */
/* Adds intrinsics to the context; each may be added once. */
void tool_intrinsics(struct JSContext *ctx, unsigned wanted);

/* A build that collects at every allocation (npm run build -- --gc-stress) sets this to 0. */
#ifndef TSBOX_GC_THRESHOLD
#define TSBOX_GC_THRESHOLD (8u << 20)
#endif
