//! A sequence of behaviours for the successive requests of one model.

use crate::behaviour::Behaviour;

/// What the successive requests of one model get.
///
/// Made from anything that iterates over behaviours, by [`Script::flap`], or from text. The default answers well.
///
/// ```
/// use llm_simulator::{Behaviour, Script};
///
/// // Overloaded twice, well from then on.
/// let script: Script = [Behaviour::status(529), Behaviour::status(529), Behaviour::default()].into();
/// assert_eq!("status=529!then!status=529!then!".parse::<Script>()?, script);
/// # Ok::<(), llm_simulator::ParseBehaviourError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    steps: Vec<Behaviour>,
    around: bool,
}

impl Script {
    /// These behaviours, one a request, and from the start again after the last.
    pub fn flap(steps: impl IntoIterator<Item = Behaviour>) -> Self {
        Self { steps: steps.into_iter().collect(), around: true }
    }

    /// The behaviour for the request with this number, counted from zero. A script without steps answers well.
    pub(crate) fn step(&self, request: usize) -> Behaviour {
        let step = match (self.steps.len(), self.around) {
            (0, _) => return Behaviour::default(),
            (steps, true) => request % steps,
            (steps, false) => request.min(steps - 1),
        };
        self.steps.get(step).cloned().unwrap_or_default()
    }
}

/// One behaviour after the other; the last one repeats.
impl<I: IntoIterator<Item = Behaviour>> From<I> for Script {
    fn from(steps: I) -> Self {
        Self { steps: steps.into_iter().collect(), around: false }
    }
}

#[cfg(test)]
mod tests {
    use super::Script;
    use crate::Behaviour;

    #[test]
    fn the_last_step_repeats_and_flapping_goes_around() {
        let steps = [Behaviour::status(503), Behaviour::answer("b")];
        let script = Script::from(steps.clone());
        assert_eq!([0, 1, 2].map(|n| script.step(n).status), [503, 200, 200]);
        let script = Script::flap(steps);
        assert_eq!([0, 1, 2, 3].map(|n| script.step(n).status), [503, 200, 503, 200]);
        assert_eq!(Script::flap([]).step(7), Behaviour::default());
    }
}
