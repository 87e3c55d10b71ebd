// One adoption of something unclaimed (adopt.cpp, adopt_vm.cpp), with all that comes with it. Inside a transaction that
// is given up when any of it is refused. Core thread.
#pragma once
#include "common/model/codec.hpp"
#include "orchestrator/core/actions.hpp"
#include "orchestrator/core/unclaimed.hpp"

namespace axle {

class Adoption {
  public:
    Adoption(Transaction& tx, const Mutation& m, const Host& host, const UnclaimedBook& book)
        : tx_(tx), m_(m), host_(host), book_(book), at_{{host.meta.id, host.meta.name}, {}} {
        at_.epoch = {tx.moment().incarnation, tx.next_revision()};
    }

    Result<Mutated> adopt(const UnclaimedThing& thing, const AdoptArguments& wanted);

  private:
    Result<Ref> project_of(const UnclaimedThing& thing, const std::string& wanted) const;
    Result<std::string> name_of(const UnclaimedThing& thing, Kind kind, const Ref& project,
                                const std::string& wanted) const;
    Result<> check_epoch(const UnclaimedThing& thing) const;
    const UnclaimedThing* nobodys(DocumentKind kind, const Uuid& id) const;

    Result<const Pool*> adopt_pool(const UnclaimedThing& thing, const std::string& name);
    Result<const Pool*> pool_of(const Uuid& id);
    Result<const NetworkObject*> adopt_network(const UnclaimedThing& thing, const Ref& project,
                                               const std::string& name);
    Result<const NetworkObject*> network_of(const std::string& nic, const Uuid& id, const Ref& for_project);
    Result<const Volume*> adopt_volume(const UnclaimedThing& thing, const Ref& project, const std::string& name);
    Result<const Volume*> disk_of(const Vm& vm, const VmDocumentDisk& disk);
    Result<const Vm*> adopt_vm(const UnclaimedThing& thing, const Ref& project, const std::string& name);
    Result<> check_at_home(const UnclaimedThing& thing) const;
    Result<> take_back(const UnclaimedThing& thing);
    void note_adopted(const Uuid& vm, const char* how);
    Result<> take_back_volume(const Uuid& id);
    Result<> check_same_devices(const Vm& vm, const VmDocument& document) const;
    Result<> take_disks(Vm& vm, const VmDocument& document);
    Result<> take_nics(Vm& vm, const VmDocument& document);
    Result<> check_hardware(const UnclaimedThing& thing, const VmDocument& document) const;
    Result<> check_address(const VmDocumentNic& nic, const NetworkObject& network) const;
    void take_keys(Vm& vm, const VmDocument& document);
    Ref image_of(const std::string& digest, const Ref& project) const;
    void came_along(const Object& object);

    Transaction& tx_;
    const Mutation& m_;
    const Host& host_;
    const UnclaimedBook& book_;
    VmPlacement at_;
    std::vector<std::string> notes_;
};

template <typename T>
Result<T> document_of(const UnclaimedThing& thing) {
    auto document = from_json_text<T>(thing.document);
    if (document) return document;
    return fail(error(Code::corrupt, "the document of {} {} can't be read: {}", text_of(thing.kind), thing.id.str(),
                      document.error().message));
}

// Of "project/name".
inline std::string last_part(const std::string& name) {
    return name.substr(name.find('/') + 1);
}
Error not_adoptable(const UnclaimedThing& thing, const std::string& why);
// What a host tells is bounded by the same tables as what a person writes.
Result<> check_spec(const Object& object);

// Of a pool that this world knows, or that a host holds a document of.
bool is_on_shared_pool(const World& world, const UnclaimedBook& book, const UnclaimedThing& volume);
// Of a file on a shared pool: who else may have it, on another host. Empty: nobody, as far as all hosts tell.
std::string used_elsewhere(const World& world, const UnclaimedBook& book, const Host& host,
                           const UnclaimedThing& volume);

}  // namespace axle
