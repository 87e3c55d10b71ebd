// ThreadSanitizer doesn't see the synchronisation inside RocksDB, which isn't built with it.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
    return "called_from_lib:librocksdb.so\nrace:rocksdb::\n";
}
