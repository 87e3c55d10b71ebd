// One line a message, with fields (VM, TASK, REQUEST, PROJECT, HOST, ...). To the journal where there is one, else as
// one JSON object a line to stderr, or as plain text when stderr is a terminal. Any thread. Secrets are never passed
// in.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace axle::log {

// error: a person must look. warning: something is wrong and is being handled. info: what changed. debug: why.
enum class Level { error = 3, warning = 4, info = 6, debug = 7 };
using Field = std::pair<const char*, std::string>;  // names in upper case, as the journal wants them

void set_level(Level least);
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void error(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::error, message, fields);
}
inline void warning(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::warning, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::info, message, fields);
}
inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::debug, message, fields);
}

}  // namespace axle::log
