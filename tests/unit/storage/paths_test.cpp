#include "agent/storage/paths.hpp"

#include <doctest/doctest.h>

namespace axle::test {
namespace {

TEST_CASE("only a volume's name is a volume") {
    const std::string id = "01890000-0000-7000-8000-000000000001";
    CHECK(volume_of_file_name(id + ".qcow2"));
    CHECK(volume_of_file_name(id + ".raw"));
    for (const std::string& name :
         {id, id + ".qcow2.local.new", id + ".iso", std::string("x.qcow2"),
          std::string("01890000-0000-7000-8000-00000000000A.qcow2"), std::string(".qcow2"), std::string()})
        CHECK_FALSE(volume_of_file_name(name));
}

}  // namespace
}  // namespace axle::test
