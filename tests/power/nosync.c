/* Preloaded, makes of our program a build that leaves out its syncs: the checker has to find that out. */
int fsync(int fd) {
    return fd < 0 ? -1 : 0;
}
int fdatasync(int fd) {
    return fd < 0 ? -1 : 0;
}
int syncfs(int fd) {
    return fd < 0 ? -1 : 0;
}
int sync_file_range(int fd, long long offset, long long count, unsigned flags) {
    (void)offset, (void)count, (void)flags;
    return fd < 0 ? -1 : 0;
}
