"""The networks. Reading order: transformer, control_branch, pose_controlnet, reference_net, background_motion_learner."""
