//! People, safes and rights on somebody else's server, which publishes the extension for privileged access.

use crate::support::{World, safes};
use crate::whole_loop::System;

/// What such a server holds, in the order in which it can go.
pub(crate) const ENDPOINTS: [&str; 4] = ["ContainerPermissions", "Containers", "Groups", "Users"];

#[test]
fn people_safes_and_rights_are_brought_into_step_on_a_strict_server() {
    let system = System::told("PAM");
    system.emptied_of(&ENDPOINTS);
    let world = World::new();
    world.write("token", &system.token);
    world.write("jobs/safes.toml", safes::job(&system.url, "file:../token", "kind = \"scim\"\n"));
    safes::converges(&world, |endpoint| system.all(endpoint));
}
