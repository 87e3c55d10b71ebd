// What one machine of a cloud answers another that it refuses: an error as problem+json, with the words for whoever
// reads the log there, and back. Any thread.
#pragma once
#include <string>

#include "common/base/result.hpp"
#include "common/http/message.hpp"

namespace axle {

http::Response refusal(const Error& error);

// What a refusal says: code as its status has it; message "status N" where the body holds no words.
Error error_of_refusal(const http::Response& response);
Code code_of_refusal(int status);

}  // namespace axle
