//! What the system lets this process have open: each notification under way, each caller and each file takes one.
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The part of all descriptors that notifications under way may take: callers have more, and files need some.
const DELIVERIES_PART: u64 = 4;
/// However many there are: a notification under way takes some 80 kB with its group and its connection.
const DELIVERIES_MAX: u64 = 4096;
/// However few there are.
const DELIVERIES_MIN: u64 = 64;

/// As many as may be had without being asked for, as programs in Go do: the small number that processes begin with is
/// for programs that cannot count further.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where the system does not want it (some give less than they say) what there is has to do.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Notifications that may be under way at once.
pub(crate) fn deliveries_max() -> usize {
    deliveries_of(getrlimit(Resource::Nofile).current)
}

/// `None`: no limit.
fn deliveries_of(descriptors: Option<u64>) -> usize {
    let part = descriptors.map_or(DELIVERIES_MAX, |all| all / DELIVERIES_PART);
    usize::try_from(part.clamp(DELIVERIES_MIN, DELIVERIES_MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::deliveries_of;

    #[test]
    fn notifications_take_a_part_of_the_descriptors() {
        for (descriptors, deliveries) in [
            (None, 4096),
            (Some(1_048_576), 4096),
            (Some(4096), 1024),
            (Some(1024), 256),
            (Some(100), 64),
        ] {
            assert_eq!(deliveries_of(descriptors), deliveries, "{descriptors:?}");
        }
    }
}
