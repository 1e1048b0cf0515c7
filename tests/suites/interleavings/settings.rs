//! The times that the configuration accepts, at their bounds and between.

use shared::{clock::Secs, session::refresh::RefreshPolicy, vars::Vars};

/// What the configuration makes of these times, and of all others as they are without a variable.
fn accepted(access: Secs, grace: Secs, min_age: Secs) -> Option<RefreshPolicy> {
    let vars =
        [("WXAUTH_ACCESS_SECONDS", access), ("WXAUTH_GRACE_SECONDS", grace), ("WXAUTH_MIN_AGE_SECONDS", min_age)];
    RefreshPolicy::from_vars(&vars.map(|(name, value)| (name, value.to_string())).into_iter().collect::<Vars>()).ok()
}

/// For access tokens that last for minutes to as long as is accepted: the grace and the minimum age by default, the least and
/// the greatest that are accepted, and half of that.
#[must_use]
pub fn accepted_policies() -> Vec<RefreshPolicy> {
    let defaults = RefreshPolicy::default();
    let mut policies = Vec::new();
    for access in [121, 241, 300, 600, 900, 1_800, 3_600, 4 * 3_600, 8 * 3_600, 12 * 3_600] {
        let greatest = |of: &dyn Fn(Secs) -> bool| (0..=access).rev().find(|value| of(*value));
        let min_age = greatest(&|min_age| accepted(access, 0, min_age).is_some());
        let grace = greatest(&|grace| accepted(access, grace, 0).is_some());
        let (Some(min_age), Some(grace)) = (min_age, grace) else { continue };
        for min_age in [0, defaults.min_age, min_age / 2, min_age] {
            for grace in [0, defaults.grace, grace / 2, grace] {
                policies.extend(accepted(access, grace, min_age));
            }
        }
    }
    policies.sort_unstable_by_key(|policy| (policy.access, policy.min_age, policy.grace));
    policies.dedup();
    policies
}
