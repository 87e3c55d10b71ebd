// Planted bugs: run-time switches of dev builds. A test turns one on and shows that the simulation finds it; a release
// build has none of them.
#pragma once

namespace axle {

struct PlantedBugs {
    bool act_before_durable = false;     // a document takes effect before it is on disk
    bool take_lower_epochs = false;      // the comparison of epochs stands the wrong way round
    bool leak_taps = false;              // a released guest's taps stay in the plan
    bool lose_wakeups = false;           // what is told while a job runs is forgotten
    bool remake_lost_volumes = false;    // a made volume that is missing is made anew
    bool destroy_on_release = false;     // a release takes the file too
    bool believe_old_answers = false;    // an answer of an earlier job counts for the running one
    bool rerun_tasks = false;            // a repeated task order runs again
    bool share_volumes = false;          // a volume is given to a second guest
    bool forget_guest_shutdown = false;  // a clean shutdown from inside is started again
    bool ignore_epoch_files = false;     // a disk on a shared pool is opened whoever else was given it
    bool start_unconfirmed = false;      // after a boot nobody waits for the word that a shared disk is its guest's
    bool remove_claimed = false;         // what was to be removed goes although it was claimed meanwhile
    bool accept_unasked = false;         // a guest that comes in is resumed without its source's word
    bool reboot_for_edits = false;       // an edit that takes effect at a start switches the guest off
    bool mark_before_making = false;     // two steps swapped: "made" is durable, then the volume is made
    bool open_before_claim = false;      // two steps swapped: a guest starts, then its disk's epoch file is written
    bool tell_before_record = false;     // two steps swapped: a hand-over is told, then it is durable
};

#ifdef AXLE_FAULTS
inline PlantedBugs& planted() {
    static PlantedBugs bugs;
    return bugs;
}
#else
constexpr PlantedBugs planted() {
    return {};
}
#endif

}  // namespace axle
