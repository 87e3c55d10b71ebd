// A real all-in-one with libvirt and QEMU as the stage of a history: users' acts go through its API on the unix socket;
// what befalls the machine is done by whoever runs it (real_model.py), asked for by lines on standard output.
#pragma once
#include <nlohmann/json.hpp>

#include "common/http/client.hpp"
#include "tests/support/cloud/history.hpp"

namespace axle::test {

class RealStage final : public Stage {
  public:
    // images: an http address below which images lie.
    RealStage(const std::string& socket, std::string images);

    std::string furnish();  // what histories take for given
    std::optional<Answer> ask(const Act& act) override;
    void befall(const Act& act) override;
    void pass(std::int64_t ms) override;
    std::string phase(Kind kind, const std::string& name) override;
    std::string trouble() override { return trouble_; }
    std::string settle() override;
    Seen seen() override;
    std::string clear_away() override;
    void note(const std::string& line) override { log.push_back(line); }

    std::vector<std::string> log;

  private:
    class Names;
    using Json = nlohmann::json;
    http::Response request(const std::string& method, const std::string& path, const std::string& body = "",
                           const std::string& type = "application/json", const std::string& key = "");
    http::Response perform(const Mutation& mutation);
    std::vector<Json> list(Kind kind, bool with_deleted = false);
    std::optional<Json> find(Kind kind, const std::string& name);
    std::string tell(const std::string& order);
    std::string unsettled();
    std::string unsettled_vm(const Json& vm) const;
    std::string what_is_left();
    std::string plain_thing_left();

    http::Client client_;
    const std::string images_, run_;  // run: keys of an earlier history are remembered
    std::string trouble_;
};

}  // namespace axle::test
