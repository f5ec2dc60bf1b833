/*
 * The engine's allocator. A tool lives for a millisecond or sits in one loop for months: both want few system calls
 * and few dirty pages, so blocks are cut from large chunks and, once free, kept by size class for the next taker.
 *
 *   block:  u64 size of the payload, as rounded to its class | payload
 *   class:  steps of 16 bytes up to 256, then four steps to each doubling; above LARGE a mapping of its own
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

#define HEADER 8
#define LARGE (64u << 10)
#define CHUNK (256u << 10) /* resident only as far as it is used, but for the rest of a STEP */
#define CLASSES 64

/*
 * A page that is touched for the first time costs a fault; many that the kernel makes ready in one call cost little more than one.
 * FIRST is what every tool uses before it reads its command line; from there on STEP bytes are made ready at a time: more would
 * be memory that an idle tool holds for nothing.
 */
#ifndef FIRST
#define FIRST (192u << 10)
#endif
#ifndef STEP
#define STEP (32u << 10)
#endif
#ifndef MADV_POPULATE_WRITE /* Linux 5.14: elsewhere the call fails, and pages come one by one */
#define MADV_POPULATE_WRITE 23
#endif
#define PAGE 4096u

struct block {
    uint64_t size;
    struct block *next; /* only while it is free */
};

static struct block *free_blocks[CLASSES];
static uint8_t *arena, *arena_end, *arena_ready;
/* The chunks, for heap_own; what comes after these is copied page by page. */
static uint8_t *chunks[16];
static unsigned chunk_count;

/* The class of a size, and the size that all of that class have. */
static unsigned size_class(size_t size, size_t *rounded)
{
    if (size <= 256) {
        unsigned step = size ? (size + 15) / 16 : 1;
        *rounded = step * 16;
        return step - 1;
    }
    unsigned doubling = 63 - __builtin_clzll(size - 1); /* 2^doubling < size <= 2^(doubling+1) */
    size_t step = (size_t)1 << (doubling - 2);
    unsigned quarter = (size - 1 - ((size_t)1 << doubling)) / step;
    *rounded = ((size_t)1 << doubling) + (quarter + 1) * step;
    return 16 + (doubling - 8) * 4 + quarter;
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Makes the arena's pages ready up to `end` and a little further. */
static void make_ready(const uint8_t *end, size_t step)
{
    size_t left = arena_end - arena_ready;

    if (step < (size_t)(end - arena_ready))
        step = (end - arena_ready + PAGE - 1) & -PAGE;
    if (step > left)
        step = left;
    madvise(arena_ready, step, MADV_POPULATE_WRITE);
    arena_ready += step;
}

static struct block *carve(size_t size)
{
    if (!arena || (size_t)(arena_end - arena) < size + HEADER) { /* the rest of the old chunk is given up */
        uint8_t *chunk = map(CHUNK);
        if (!chunk)
            return NULL;
        arena = arena_ready = chunk;
        arena_end = chunk + CHUNK;
        if (chunk_count < sizeof chunks / sizeof *chunks)
            chunks[chunk_count++] = chunk;
    }
    struct block *block = (struct block *)arena;
    arena += size + HEADER;
    if (arena > arena_ready)
        make_ready(arena, chunk_count == 1 && arena_ready == chunks[0] ? FIRST : STEP);
    return block;
}

void heap_own(void)
{
    for (unsigned i = 0; i < chunk_count; i++) {
        size_t used = chunks[i] + CHUNK == arena_end ? (size_t)(arena - chunks[i]) : CHUNK;
        madvise(chunks[i], (used + PAGE - 1) & -(size_t)PAGE, MADV_POPULATE_WRITE);
    }
}

static void *take(JSMallocState *state, size_t size)
{
    struct block *block;

    if (size > state->malloc_limit || state->malloc_size + size > state->malloc_limit)
        return NULL;
    if (size > LARGE) {
        block = map(size + HEADER);
    } else {
        unsigned class = size_class(size, &size);
        block = free_blocks[class];
        if (block)
            free_blocks[class] = block->next;
        else
            block = carve(size);
    }
    if (!block)
        return NULL;
    block->size = size;
    state->malloc_count++;
    state->malloc_size += size + HEADER;
    return (uint8_t *)block + HEADER;
}

static void give(JSMallocState *state, void *payload)
{
    struct block *block;
    size_t size, rounded;

    if (!payload)
        return;
    block = (struct block *)((uint8_t *)payload - HEADER);
    size = block->size;
    state->malloc_count--;
    state->malloc_size -= size + HEADER;
    if (size > LARGE) {
        munmap(block, size + HEADER);
    } else {
        unsigned class = size_class(size, &rounded);
        block->next = free_blocks[class];
        free_blocks[class] = block;
    }
}

static void *resize(JSMallocState *state, void *payload, size_t size)
{
    struct block *block;
    size_t before, rounded = size;
    void *moved;

    if (!payload)
        return size ? take(state, size) : NULL;
    if (!size) {
        give(state, payload);
        return NULL;
    }
    block = (struct block *)((uint8_t *)payload - HEADER);
    before = block->size;
    if (before > LARGE && size > LARGE) {
        if (state->malloc_size - before + size > state->malloc_limit)
            return NULL;
        block = mremap(block, before + HEADER, size + HEADER, MREMAP_MAYMOVE);
        if (block == MAP_FAILED)
            return NULL;
        block->size = size;
        state->malloc_size += size - before;
        return (uint8_t *)block + HEADER;
    }
    if (size <= LARGE && (size_class(size, &rounded), rounded == before))
        return payload;
    moved = take(state, size);
    if (!moved)
        return NULL;
    memcpy(moved, payload, before < size ? before : size);
    give(state, payload);
    return moved;
}

static size_t usable(const void *payload)
{
    return payload ? ((const struct block *)((const uint8_t *)payload - HEADER))->size : 0;
}

const JSMallocFunctions heap_functions = { take, give, resize, usable };
