/*
 * The host of a tool: one QuickJS context, the tool's bytecode, and the interface of host.d.ts.
 *
 * It knows nothing of Linux but how to make a system call; names, numbers, structs and meaning are TypeScript
 * (native/linux). It is linked with `tool.c`, which native/build.mjs writes for each tool: its name, its bytecode
 * and the engine's intrinsics that its bundle uses.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "heap.h"
#include "quickjs.h"
#include "tool.h"

/* What the engine may take: a runaway tool ends with "out of memory" and 125, it does not eat the machine. */
#define MEMORY_LIMIT (512u << 20)
/* Enough for any script of ours, well under the 8 MiB that Linux gives a main thread. */
#define STACK_LIMIT (1u << 20)
#define EXIT_INTERNAL 125
#define TRACE_LINES 12

extern char **environ;
static char **arguments;
static int argument_count;

/* ---- Strings: UTF-8, with bytes that are none kept as U+DC80..U+DCFF (PEP 383) ---- */

/* The length of the well-formed UTF-8 sequence at `p`, 0 if there is none. */
static int utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    int length = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

    if (length == 0 || (size_t)length > left)
        return 0;
    for (int i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

static JSValue decode_bytes(JSContext *ctx, const uint8_t *bytes, size_t length)
{
    size_t good = 0;
    int step;

    while (good < length && (step = utf8_sequence(bytes + good, length - good)) > 0)
        good += step;
    if (good == length)
        return JS_NewStringLen(ctx, (const char *)bytes, length);

    /* A stray byte becomes the three bytes of its surrogate, which the engine reads as one code unit. */
    uint8_t *wide = js_malloc(ctx, length * 3);
    size_t out = 0;
    if (!wide)
        return JS_EXCEPTION;
    for (size_t i = 0; i < length; i += step) {
        step = utf8_sequence(bytes + i, length - i);
        if (step > 0) {
            memcpy(wide + out, bytes + i, step);
            out += step;
        } else {
            step = 1;
            wide[out++] = 0xed;
            wide[out++] = 0xb0 | (bytes[i] >> 6);
            wide[out++] = 0x80 | (bytes[i] & 0x3f);
        }
    }
    JSValue string = JS_NewStringLen(ctx, (const char *)wide, out);
    js_free(ctx, wide);
    return string;
}

/* The inverse, in place: the surrogates of stray bytes become those bytes again. Returns the new length. */
static size_t unescape(char *text, size_t length)
{
    uint8_t *p = (uint8_t *)text;
    uint8_t *found = memchr(p, 0xed, length);
    size_t out;

    if (!found)
        return length;
    out = found - p;
    for (size_t i = out; i < length; out++) {
        if (p[i] == 0xed && i + 2 < length && (p[i + 1] == 0xb2 || p[i + 1] == 0xb3)) {
            p[out] = (p[i + 1] & 3) << 6 | (p[i + 2] & 0x3f);
            i += 3;
        } else {
            p[out] = p[i++];
        }
    }
    p[out] = 0;
    return out;
}

/* ---- Views ---- */

/* The class of ArrayBuffer, found by trying: the engine does not tell, and asking otherwise throws. */
static JSClassID array_buffer_class;

static void find_array_buffer_class(JSContext *ctx)
{
    JSValue buffer = JS_NewArrayBufferCopy(ctx, NULL, 0);
    while (++array_buffer_class < 255 && !JS_GetOpaque(buffer, array_buffer_class))
        ;
    JS_FreeValue(ctx, buffer);
}

/* The bytes of an ArrayBuffer, a typed array or a DataView; NULL with an exception pending otherwise. */
static uint8_t *view_bytes(JSContext *ctx, JSValueConst value, size_t *length)
{
    size_t offset, whole;
    JSValue buffer;
    uint8_t *bytes;

    if (JS_GetOpaque(value, array_buffer_class))
        return JS_GetArrayBuffer(ctx, length, value);
    buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, length, NULL);
    if (!JS_IsException(buffer)) {
        bytes = JS_GetArrayBuffer(ctx, &whole, buffer);
        JS_FreeValue(ctx, buffer);
        return bytes ? bytes + offset : NULL;
    }
    JS_FreeValue(ctx, JS_GetException(ctx));
    buffer = JS_GetPropertyStr(ctx, value, "buffer");
    if (JS_IsObject(buffer)) { /* a DataView */
        int64_t at = 0, size = 0;
        JSValue property = JS_GetPropertyStr(ctx, value, "byteOffset");
        JS_ToInt64(ctx, &at, property);
        JS_FreeValue(ctx, property);
        property = JS_GetPropertyStr(ctx, value, "byteLength");
        JS_ToInt64(ctx, &size, property);
        JS_FreeValue(ctx, property);
        bytes = JS_GetArrayBuffer(ctx, &whole, buffer);
        JS_FreeValue(ctx, buffer);
        *length = size;
        return bytes && at >= 0 && (size_t)(at + size) <= whole ? bytes + at : NULL;
    }
    JS_FreeValue(ctx, buffer);
    JS_ThrowTypeError(ctx, "not a number, a string, bytes or null");
    return NULL;
}

/* ---- The interface ---- */

/* What a new process does first. */
static void own_memory(void)
{
#ifndef TSBOX_LIBC_HEAP
    heap_own();
#endif
}

static JSValue host_syscall(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    long argument[7] = { 0 };
    const char *strings[7];
    int held = 0;
    long result;

    if (count > 7)
        count = 7;
    for (int i = 0; i < count; i++) {
        JSValueConst value = values[i];
        if (JS_IsNumber(value)) {
            int64_t number;
            JS_ToInt64(ctx, &number, value);
            argument[i] = number;
        } else if (JS_IsString(value)) {
            size_t length;
            char *text = (char *)JS_ToCStringLen(ctx, &length, value);
            if (!text)
                goto fail;
            strings[held++] = text;
            length = unescape(text, length);
            if (memchr(text, 0, length)) { /* the kernel would see another, shorter path */
                result = -EINVAL;
                goto done;
            }
            argument[i] = (long)text;
        } else if (JS_IsNull(value)) {
            argument[i] = 0;
        } else {
            size_t length = 1;
            uint8_t *bytes = view_bytes(ctx, value, &length);
            if (!bytes && length)
                goto fail;
            argument[i] = (long)bytes;
        }
    }
    result = syscall(argument[0], argument[1], argument[2], argument[3], argument[4], argument[5], argument[6]);
    if (result == -1)
        result = -errno;
    if (result == 0 && argument[0] == SYS_clone3)
        own_memory();
done:
    while (held > 0)
        JS_FreeCString(ctx, strings[--held]);
    return JS_NewInt64(ctx, result);
fail:
    while (held > 0)
        JS_FreeCString(ctx, strings[--held]);
    return JS_EXCEPTION;
}

static JSValue host_fork(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    pid_t pid = fork();
    if (pid == 0)
        own_memory();
    return JS_NewInt32(ctx, pid < 0 ? -errno : pid);
}

static JSValue host_exit(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    int32_t code = EXIT_INTERNAL;
    if (count > 0)
        JS_ToInt32(ctx, &code, values[0]);
    _exit(code);
}

static JSValue host_address_of(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    size_t length = 1;
    uint8_t *bytes = view_bytes(ctx, values[0], &length);
    return bytes || !length ? JS_NewInt64(ctx, (intptr_t)bytes) : JS_EXCEPTION;
}

static void free_encoded(JSRuntime *rt, void *opaque, void *bytes)
{
    js_free_rt(rt, bytes);
}

static JSValue host_encode(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    size_t length;
    char *text = (char *)JS_ToCStringLen(ctx, &length, values[0]);
    char *bytes;

    if (!text)
        return JS_EXCEPTION;
    /* One byte more than the view shows: a NUL, so that the address of an encoded string is a C string. */
    bytes = js_malloc(ctx, length + 1);
    if (bytes)
        memcpy(bytes, text, length + 1);
    JS_FreeCString(ctx, text);
    if (!bytes)
        return JS_EXCEPTION;
    return JS_NewArrayBuffer(ctx, (uint8_t *)bytes, unescape(bytes, length), free_encoded, NULL, 0);
}

static JSValue host_decode(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    size_t length = 1;
    uint8_t *bytes = view_bytes(ctx, values[0], &length);
    int64_t from = 0, to = length;

    if (!bytes && length)
        return JS_EXCEPTION;
    if (count > 1 && !JS_IsUndefined(values[1]))
        JS_ToInt64(ctx, &from, values[1]);
    if (count > 2 && !JS_IsUndefined(values[2]))
        JS_ToInt64(ctx, &to, values[2]);
    if (from < 0 || to > (int64_t)length || from > to)
        return JS_ThrowRangeError(ctx, "decode: outside of the view");
    return decode_bytes(ctx, bytes + from, to - from);
}

static JSValue string_array(JSContext *ctx, char **strings, int count)
{
    JSValue array = JS_NewArray(ctx);
    for (int i = 0; i < count && !JS_IsException(array); i++)
        JS_SetPropertyUint32(ctx, array, i, decode_bytes(ctx, (const uint8_t *)strings[i], strlen(strings[i])));
    return array;
}

static JSValue host_argv(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    return string_array(ctx, arguments, argument_count);
}

static JSValue host_environ(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    int entries = 0;
    while (environ && environ[entries])
        entries++;
    return string_array(ctx, environ, entries);
}

/* Adds the intrinsics that a part uses and none before it did. */
static void add_intrinsics(JSContext *ctx, unsigned wanted)
{
    static unsigned added;

    tool_intrinsics(ctx, wanted & ~added);
    added |= wanted;
}

/* Runs part N of the bundle (tool.h), once: the stubs of native/split.mjs call it where a command needs that part. */
static JSValue host_load(JSContext *ctx, JSValueConst this, int count, JSValueConst *values)
{
    uint32_t part;
    JSValue script;

    if (JS_ToUint32(ctx, &part, values[0]) || part >= tool_part_count)
        return JS_ThrowRangeError(ctx, "load: no such part");
    if (tool_part_loaded[part])
        return JS_UNDEFINED;
    tool_part_loaded[part] = 1;
    add_intrinsics(ctx, tool_parts[part].intrinsics);
    script = JS_ReadObject(ctx, tool_parts[part].start, tool_parts[part].end - tool_parts[part].start, JS_READ_OBJ_BYTECODE);
    return JS_IsException(script) ? script : JS_EvalFunction(ctx, script);
}

static void host_object(JSContext *ctx)
{
    static const struct { const char *name; JSCFunction *function; int length; } functions[] = {
        { "syscall", host_syscall, 7 }, { "fork", host_fork, 0 },     { "exit", host_exit, 1 },
        { "addressOf", host_address_of, 1 }, { "encode", host_encode, 1 }, { "decode", host_decode, 3 },
        { "argv", host_argv, 0 }, { "environ", host_environ, 0 }, { "load", host_load, 1 },
    };
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue host = JS_NewObject(ctx);

    find_array_buffer_class(ctx);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        JS_SetPropertyStr(ctx, host, functions[i].name,
                          JS_NewCFunction(ctx, functions[i].function, functions[i].name, functions[i].length));
#if defined __x86_64__
    JS_SetPropertyStr(ctx, host, "arch", JS_NewString(ctx, "x86_64"));
#elif defined __aarch64__
    JS_SetPropertyStr(ctx, host, "arch", JS_NewString(ctx, "aarch64"));
#else
#error "tsbox has system-call numbers for x86_64 and aarch64"
#endif
    JS_SetPropertyStr(ctx, global, "__host", host);
    JS_FreeValue(ctx, global);
}

/* The end of an uncaught exception. Works without memory: it prints what can still be had. */
static _Noreturn void die(JSContext *ctx)
{
    JSValue error = ctx ? JS_GetException(ctx) : JS_NULL;
    const char *text = ctx ? JS_ToCString(ctx, error) : NULL;
    JSValue stack = ctx && JS_IsError(ctx, error) ? JS_GetPropertyStr(ctx, error, "stack") : JS_UNDEFINED;
    const char *trace = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL;

    const char *end = trace;

    /* The engine throws null where there is no memory for an error. */
    if (!ctx || JS_IsNull(error) || (!text && JS_IsNull(JS_GetException(ctx))))
        text = "out of memory";
    /* A stack overflow has thousands of lines; the first ones tell. */
    for (int lines = 0; end && *end && lines < TRACE_LINES; lines++)
        end = strchrnul(end, '\n') + 1;
    dprintf(STDERR_FILENO, "%s: internal error: %s\n%.*s", tool_name, text ? text : "an error without text", (int)(end - trace), trace ? trace : "");
    _exit(EXIT_INTERNAL);
}

#ifndef TSBOX_LIBC_HEAP /* the sanitizers tell of a fault themselves */
/*
 * The engine watches the depth of its recursion, but not in JSON.stringify: there the kernel finds the stack's end. A
 * fault anywhere else is a crash, and stays one. The handler goes with the next exec.
 */
static void on_fault(int number, siginfo_t *info, void *context)
{
    const mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
#if defined __x86_64__
    uintptr_t sp = machine->gregs[REG_RSP];
#else
    uintptr_t sp = machine->sp;
#endif
    if (info->si_code > 0 && (uintptr_t)info->si_addr - (sp - 65536) < 2 * 65536) {
        dprintf(STDERR_FILENO, "%s: internal error: stack overflow\n", tool_name);
        _exit(EXIT_INTERNAL);
    }
    signal(number, SIG_DFL); /* and the same instruction faults again */
    if (info->si_code <= 0)
        raise(number); /* kill(2) sent it */
}

static void catch_faults(void)
{
    static char own_stack[16384];
    const stack_t stack = { .ss_sp = own_stack, .ss_size = sizeof own_stack };
    const struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    struct sigaction before;

    sigaltstack(&stack, NULL);
    if (sigaction(SIGSEGV, &action, &before) == 0 && before.sa_handler == SIG_IGN)
        sigaction(SIGSEGV, &before, NULL); /* what we start inherits that */
}
#endif

int main(int argc, char **argv)
{
    struct rlimit stack;
#ifdef TSBOX_LIBC_HEAP /* the sanitizers watch malloc */
    JSRuntime *rt = JS_NewRuntime();
#else
    JSRuntime *rt = JS_NewRuntime2(&heap_functions, NULL);
#endif
    JSContext *ctx = rt ? JS_NewContextRaw(rt) : NULL;
    JSValue script, result;

    if (!ctx)
        die(NULL);
#ifndef TSBOX_LIBC_HEAP
    catch_faults();
#endif
    arguments = argv;
    argument_count = argc;
    /* A tool that runs for a millisecond frees itself by ending; the collector starts beyond this many bytes. */
    JS_SetGCThreshold(rt, TSBOX_GC_THRESHOLD);
    JS_SetMemoryLimit(rt, MEMORY_LIMIT);
    getrlimit(RLIMIT_STACK, &stack);
    JS_SetMaxStackSize(rt, stack.rlim_cur < 2 * STACK_LIMIT ? stack.rlim_cur / 2 : STACK_LIMIT);

    /* Read before any intrinsic makes an atom: the atoms of the bytecode then have the numbers that were written,
     * and the engine runs the code in place instead of from a relocated copy. */
    script = JS_ReadObject(ctx, tool_parts[0].start, tool_parts[0].end - tool_parts[0].start,
                           JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA);
    if (JS_IsException(script))
        die(ctx);
    add_intrinsics(ctx, tool_parts[0].intrinsics);
    host_object(ctx);
    result = JS_EvalFunction(ctx, script);
    if (JS_IsException(result))
        die(ctx);
    _exit(0);
}
