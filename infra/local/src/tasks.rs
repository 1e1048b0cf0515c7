//! The tasks of the laptop, which all end at one signal.

use tokio::{sync::watch, task::JoinHandle};

#[derive(Default)]
pub(crate) struct Tasks {
    /// Nothing is sent: the tasks end when this sender is dropped, also when the laptop fails to start.
    stop: watch::Sender<()>,
    running: Vec<JoinHandle<()>>,
}

impl Tasks {
    /// `task` must end soon after `stopped` is ready.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.push(tokio::spawn(task));
    }

    /// Is ready once the laptop stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        async move { drop(stop.changed().await) }
    }

    /// Stops all tasks and waits until they have ended.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        for task in self.running {
            drop(task.await);
        }
    }
}
